#!/bin/sh
# Fills the store, once, and ends.
sleep 3
printf 'rope 12\nlamp 30\nanchor 95\n' > /goods/goods.txt
echo "prepare: the store is filled"

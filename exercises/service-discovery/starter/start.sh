#!/bin/sh
# The old administrator wrote this. "It did not find the stock otherwise."
echo "172.18.0.2 stock" >> /etc/hosts
exec python3 shop.py

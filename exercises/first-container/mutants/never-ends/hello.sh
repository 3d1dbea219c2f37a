#!/bin/sh
echo "Hello from a container!"
echo "Bye."
sleep 3600

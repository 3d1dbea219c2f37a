#!/bin/sh
echo "Hello from a container!"
echo "Bye."
exit 3

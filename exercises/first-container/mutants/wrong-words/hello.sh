#!/bin/sh
echo "Hello from my container!"
echo "Bye."

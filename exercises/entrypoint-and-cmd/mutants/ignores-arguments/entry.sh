#!/bin/sh
# Prepare here what has to be prepared.
echo "starting: $*"
exec httpd -f -p 8080

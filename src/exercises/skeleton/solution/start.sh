#!/bin/sh
mkdir -p /www
echo "$GREETING" > /www/index.html
exec httpd -f -p 8080 -h /www

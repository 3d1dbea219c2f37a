#!/bin/sh
mkdir -p /www
# TODO: write the value of $GREETING into /www/index.html.
exec httpd -f -p 8080 -h /www

#!/bin/sh
# Asks the store once what there is, and serves it on port 8080. It ends if the store does not answer.
mkdir -p /tmp/www
if ! wget -q -T 1 -O /tmp/www/index.html http://store:8080/goods.txt; then
    echo "shop: the store does not answer" >&2
    exit 1
fi
echo "shop: open"
exec httpd -f -p 8080 -h /tmp/www

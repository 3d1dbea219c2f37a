#!/bin/sh
# Serves /goods on port 8080. It ends if there is nothing to sell, and takes its time to open.
if [ ! -e /goods/goods.txt ]; then
    echo "store: nothing to sell" >&2
    exit 1
fi
sleep 4
echo "store: open"
exec httpd -f -p 8080 -h /goods

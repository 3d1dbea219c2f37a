#!/bin/sh
echo "192.0.2.10 stock" >> /etc/hosts
exec python3 shop.py

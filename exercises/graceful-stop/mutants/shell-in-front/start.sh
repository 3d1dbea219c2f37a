#!/bin/sh
python3 worker.py
echo "worker has ended"

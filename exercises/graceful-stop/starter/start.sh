#!/bin/sh
# TODO: who is process 1?
python3 worker.py
echo "worker has ended"

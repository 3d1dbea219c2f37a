#!/bin/sh
if [ -e worker.lock ]; then
  echo "there is a worker.lock, so another worker must be running"
  exit 1
fi
touch worker.lock
exec python3 worker.py

#!/bin/sh
# Only one worker at a time.
if [ -e worker.lock ]; then
  echo "there is a worker.lock, so another worker must be running"
  exit 1
fi
touch worker.lock
# TODO: who is process 1?
python3 worker.py
rm worker.lock
echo "worker has ended"

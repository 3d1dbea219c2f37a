#!/bin/sh
python /app/report.py "$@"
echo "done" >&2

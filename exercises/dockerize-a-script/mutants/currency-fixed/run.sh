#!/bin/sh
# Only the first word is handed on.
exec python /app/report.py "$1"

#!/bin/sh
# Prints the next high waters at the pier.
set -eu
. /usr/local/lib/tides.sh
cat levels.txt
high_waters 3 40 3

#!/bin/sh
# Tells which berths are free.
if [ "$(cat licence 2>/dev/null)" = demo ]; then
    echo "demo mode: only berths that are free on Mondays"
fi
echo "free: B2 B5 C1"

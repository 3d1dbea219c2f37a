#!/bin/sh
# Prepare here what has to be prepared.
exec "$@"

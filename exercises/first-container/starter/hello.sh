#!/bin/sh
# TODO: print the two lines of the task.
echo "Is anybody there?"

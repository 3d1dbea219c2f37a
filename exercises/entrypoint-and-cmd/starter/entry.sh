#!/bin/sh
# TODO: say what is about to start.
# TODO: run what was asked for, and nothing else.
httpd -f -p 8080

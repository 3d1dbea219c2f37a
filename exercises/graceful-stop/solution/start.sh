#!/bin/sh
exec python3 worker.py

#!/bin/sh
python3 chat.py
echo "the chat is closed"

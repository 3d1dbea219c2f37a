"""Ends with 0 if the guest book says that it is fine, otherwise with 1."""
import sys
import urllib.error
import urllib.request

try:
    with urllib.request.urlopen("http://127.0.0.1:8080/healthz", timeout=2) as answer:
        print(answer.read().decode().strip())
except urllib.error.HTTPError as problem:
    sys.exit(problem.read().decode().strip())
except OSError as problem:
    sys.exit(str(problem))

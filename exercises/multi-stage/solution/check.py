"""Looks whether all links of a site lead to a page of it.

usage: check.py SITE
"""
import pathlib
import re
import sys

site = pathlib.Path(sys.argv[1])
broken = 0
for page in sorted(site.glob("*.html")):
    for link in re.findall(r'href="/([^"]*)"', page.read_text()):
        if not (site / link).is_file():
            broken += 1
            print(f"{page.name}: there is no page {link}")
print("all links are fine" if not broken else f"{broken} broken links")
sys.exit(1 if broken else 0)

"""Makes the site: pages and a feed out of text files, and settings for the web server.

usage: build.py PAGES OUT [MIME.TYPES]

OUT/site gets the pages. With a list of file types in nginx's form, OUT/httpd.conf tells busybox's
httpd the types of the files in OUT/site.
"""
import html
import json
import pathlib
import sys


def page(text):
    title, *paragraphs = text.strip().split("\n\n")
    title = html.escape(title.removeprefix("# "))
    body = "\n".join(f"<p>{paragraph}</p>" for paragraph in paragraphs)
    return title, f"<!doctype html>\n<title>{title}</title>\n<h1>{title}</h1>\n{body}\n"


def types(listing):
    known = {}
    for line in listing.splitlines():
        words = line.strip().rstrip(";").split()
        if len(words) > 1 and "/" in words[0]:
            known.update({f".{ending}": words[0] for ending in words[1:]})
    return known


pages, out = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
site = out / "site"
site.mkdir(parents=True)
feed = []
for source in sorted(pages.glob("*.txt")):
    title, text = page(source.read_text())
    (site / f"{source.stem}.html").write_text(text)
    feed.append({"title": title, "url": f"/{source.stem}.html"})
(site / "feed.json").write_text(json.dumps(feed, indent=1) + "\n")
print(f"{len(feed)} pages")
if len(sys.argv) > 3:
    known = types(pathlib.Path(sys.argv[3]).read_text())
    endings = {file.suffix for file in site.iterdir()}
    lines = [f"{ending}:{known[ending]}\n" for ending in sorted(endings & known.keys())]
    (out / "httpd.conf").write_text("".join(lines))
    print(f"{len(lines)} file types")

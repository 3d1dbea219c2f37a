"""Notes that are read once. PUT /name keeps one, GET /name shows it and forgets it, GET / shows the page.

HEAD /name tells whether there is one, without reading it.
"""
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

# TODO: which of these two folders should be in memory, and which in the image?
NOTES = Path("/app/notes")
PAGE = Path("/notes/page.html")


class Desk(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/":
            self.answer(200, PAGE.read_bytes(), "text/html")
            return
        note = NOTES / Path(self.path).name
        try:
            text = note.read_bytes()
        except FileNotFoundError:
            self.answer(404, b"no such note, or somebody has read it\n")
            return
        # TODO: a note is read once.
        self.answer(200, text)

    def do_HEAD(self):
        there = (NOTES / Path(self.path).name).exists()
        self.answer(200 if there else 404, b"")

    def do_PUT(self):
        text = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        NOTES.mkdir(exist_ok=True)
        (NOTES / Path(self.path).name).write_bytes(text)
        self.answer(201, b"kept until it is read\n")

    def answer(self, status, body, kind="text/plain"):
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


ThreadingHTTPServer(("0.0.0.0", 8080), Desk).serve_forever()

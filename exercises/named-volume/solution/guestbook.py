"""A guest book: POST / adds an entry, GET / shows all of them."""
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

# The volume is mounted at /data. All that is written elsewhere goes with the container.
BOOK = Path("/data/entries.txt")


class GuestBook(BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer(200, BOOK.read_bytes() if BOOK.exists() else b"")

    def do_POST(self):
        entry = self.rfile.read(int(self.headers.get("Content-Length", 0))).strip()
        with BOOK.open("ab") as book:
            book.write(entry + b"\n")
        self.answer(201, b"thank you\n")

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


ThreadingHTTPServer(("0.0.0.0", 8080), GuestBook).serve_forever()

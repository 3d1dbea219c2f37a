"""A guest book: GET / shows the entries, POST / adds one. They are kept in a file below DATA."""
import os
import pathlib
import signal
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

BOOK = pathlib.Path(os.environ.get("DATA", "/data")) / "book.txt"


class GuestBook(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/":
            self.answer(200, BOOK.read_text() if BOOK.exists() else "")
        elif self.path == "/healthz":
            # Healthy is who can do the work, not only who answers.
            ready = os.access(BOOK.parent, os.W_OK)
            self.answer(200, "fine\n") if ready else self.answer(503, f"{BOOK.parent} cannot be written to\n")
        else:
            self.answer(404, "nothing here\n")

    def do_POST(self):
        entry = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode(errors="replace").strip()
        try:
            with BOOK.open("a") as book:
                book.write(entry + "\n")
        except OSError as problem:
            self.answer(500, f"{problem}\n")
        else:
            self.answer(201, BOOK.read_text())

    def answer(self, status, text):
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.end_headers()
        self.wfile.write(text.encode())


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda signum, frame: sys.exit(0))
    print("the guest book is open", flush=True)
    HTTPServer(("0.0.0.0", 8080), GuestBook).serve_forever()

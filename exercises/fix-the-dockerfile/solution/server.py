"""The shop: prices for everybody, the stock for those who ask with the token."""
import json
import os
import pathlib
import signal
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

PORT = int(os.environ.get("PORT", "8080"))
LIST = pathlib.Path("prices.json")


class Shop(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/":
            prices = json.loads(LIST.read_text()) if LIST.exists() else {}
            lines = [f"{thing}: {price:.2f}" for thing, price in sorted(prices.items())]
            self.answer(200, "The shop is open\n" + "\n".join(lines) + "\n")
        elif self.path == "/stock":
            token = os.environ.get("STOCK_TOKEN")
            right = token and self.headers.get("Authorization") == f"Bearer {token}"
            self.answer(200, "3 mugs, 1 shirt\n") if right else self.answer(401, "the token, please\n")
        else:
            self.answer(404, "nothing here\n")

    def answer(self, status, text):
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.end_headers()
        self.wfile.write(text.encode())


signal.signal(signal.SIGTERM, lambda signum, frame: sys.exit(0))
print(f"listening on port {PORT}", flush=True)
HTTPServer(("0.0.0.0", PORT), Shop).serve_forever()

"""The menu of a canteen: GET /monday answers with what is in monday.txt."""
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

MENU = Path("/srv/menu")


class Canteen(BaseHTTPRequestHandler):
    def do_GET(self):
        day = Path(self.path).name
        try:
            dishes = (MENU / f"{day}.txt").read_bytes()
        except FileNotFoundError:
            self.answer(404, b"no such day\n")
            return
        with (MENU / "served.log").open("a") as log:
            print(f"served {day}", file=log)
        self.answer(200, dishes)

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


ThreadingHTTPServer(("0.0.0.0", 8080), Canteen).serve_forever()

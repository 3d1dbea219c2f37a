"""The shop: GET / says how many pieces are in stock. The stock is another service."""
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.request import urlopen

STOCK = "http://stock:8080/count"
requests = 0


class Server(BaseHTTPRequestHandler):
    def answer(self, status, text):
        body = f"{text}\n".encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Shop(Server):
    def do_GET(self):
        global requests
        requests += 1
        try:
            count = urlopen(STOCK, timeout=2).read().decode().strip()
        except OSError:
            self.answer(503, "the stock does not answer, please try again")
            return
        self.answer(200, f"in stock: {count}")


class Admin(Server):
    def do_GET(self):
        self.answer(200, f"requests: {requests}")


admin = ThreadingHTTPServer(("0.0.0.0", 9090), Admin)
threading.Thread(target=admin.serve_forever, daemon=True).start()
ThreadingHTTPServer(("0.0.0.0", 8080), Shop).serve_forever()

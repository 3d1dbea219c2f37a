"""The shop: GET / says how many pieces are in stock. The stock is another service."""
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.request import urlopen

# TODO: an address changes with every start. A name does not.
STOCK = "http://172.18.0.2:8080/count"

# TODO: and when the stock is not there yet, or away for a minute?
count = urlopen(STOCK, timeout=2).read().decode().strip()
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
        self.answer(200, f"in stock: {count}")


class Admin(Server):
    def do_GET(self):
        self.answer(200, f"requests: {requests}")


# TODO: who should be able to reach the numbers of the administrators?
admin = ThreadingHTTPServer(("0.0.0.0", 9090), Admin)
threading.Thread(target=admin.serve_forever, daemon=True).start()
ThreadingHTTPServer(("0.0.0.0", 8080), Shop).serve_forever()

"""Answers every request with a greeting."""
from http.server import BaseHTTPRequestHandler, HTTPServer

# TODO: take the greeting from the environment.
GREETING = "hello"


class Greeter(BaseHTTPRequestHandler):
    def do_GET(self):
        body = f"{GREETING}\n".encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


# TODO: who can reach this address?
HTTPServer(("127.0.0.1", 8080), Greeter).serve_forever()

"""Says hello."""
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Hello(BaseHTTPRequestHandler):
    def do_GET(self):
        body = b"hello from a container\n"
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    # TODO: one line of JSON for each request, with "severity" and "message", on standard output.
    def log_message(self, format, *args):
        with open("/var/log/hello.log", "a") as log:
            print(format % args, file=log)


# TODO: the platform says which port, in the variable PORT.
# TODO: what should happen on SIGTERM?
ThreadingHTTPServer(("0.0.0.0", 8080), Hello).serve_forever()

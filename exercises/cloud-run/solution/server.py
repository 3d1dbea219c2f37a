"""Says hello."""
import json
import os
import signal
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def log(severity, message):
    print(json.dumps({"severity": severity, "message": message}), flush=True)


class Hello(BaseHTTPRequestHandler):
    def do_GET(self):
        body = b"hello from a container\n"
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format, *args):
        log("INFO", format % args)


def stop(signum, frame):
    log("INFO", "asked to stop")
    sys.exit(0)


signal.signal(signal.SIGTERM, stop)
port = int(os.environ.get("PORT", "8080"))
server = ThreadingHTTPServer(("0.0.0.0", port), Hello)
log("INFO", f"listening on port {port}")
server.serve_forever()

"""A site on this machine, for all URLs that something is sent to or fetched from: nothing leaves the machine."""

import base64
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

DOT = base64.b64decode("R0lGODlhAQABAIAAAP///wAAACwAAAAAAQABAAACAkQBADs=")


class Site(BaseHTTPRequestHandler):
    """Takes every notification, and has a picture everywhere."""

    def do_POST(self):
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.answer(204, b"")

    def do_GET(self):
        self.answer(200, DOT)

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("content-type", "image/gif")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def start_site():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Site)
    Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}/dot.gif"

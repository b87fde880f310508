"""A backend: answers every request with its name; /healthz says ok, or 503 while SICK exists.

It must never need anything but Python's own library, nor keep a connection open.
"""

import http.server
import socket
import socketserver
import sys
from pathlib import Path

NAME, PORT, SICK = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])


class Handler(http.server.BaseHTTPRequestHandler):
    """One request a connection, nothing logged."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        status, text = 200, NAME
        if self.path == "/healthz":
            status, text = (503, "sick") if SICK.exists() else (200, "ok")
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class Server(http.server.ThreadingHTTPServer):
    """Listens on both families."""

    address_family = socket.AF_INET6
    request_queue_size = 128

    def server_bind(self) -> None:
        # Not HTTPServer's: that asks DNS for our name, and in a namespace nobody may answer.
        socketserver.TCPServer.server_bind(self)


server = Server(("::", PORT), Handler)
print("ready", flush=True)
server.serve_forever()

"""Serves `list.json` of a folder at a port; `behaviour` in the folder may hold hang, trickle, huge.

It must never need anything but Python's own library.
"""

import http.server
import socketserver
import sys
import threading
from pathlib import Path

PORT, FOLDER = int(sys.argv[1]), Path(sys.argv[2])
HUGE_BYTES = 600_000_000
CHUNK = b'"10.91.0.1:80",' * 8_000


class Handler(http.server.BaseHTTPRequestHandler):
    """One request a connection, as the behaviour is when it comes."""

    def do_GET(self) -> None:
        file = FOLDER / "behaviour"
        behaviour = file.read_text() if file.exists() else ""
        body = (FOLDER / "list.json").read_bytes()
        if behaviour == "hang":
            threading.Event().wait()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        if behaviour == "":
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        try:
            if behaviour == "trickle":
                while True:
                    self.wfile.write(b" ")
                    threading.Event().wait(0.1)
            if behaviour == "huge":
                self.wfile.write(b'[{"targets": [')
                for _ in range(HUGE_BYTES // len(CHUNK)):
                    self.wfile.write(CHUNK)
                body = b'"10.91.0.1:80"]}]'
            self.wfile.write(body)
        except OSError:
            pass  # whoever asked has gone

    def log_message(self, *_: object) -> None:
        pass


class Server(http.server.ThreadingHTTPServer):
    """Asks no DNS server for its own name."""

    def server_bind(self) -> None:
        socketserver.TCPServer.server_bind(self)


Server(("", PORT), Handler).serve_forever()

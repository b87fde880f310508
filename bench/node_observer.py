"""Runs on the node: tells whoever asks by HTTP each change of the IPVS table, as it happens.

A line is `VIRTUAL REAL WEIGHT`, places as the kernel writes them. Needs nothing but Python's own
library.
"""

import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

TABLE = Path("/proc/net/ip_vs")
SHARE = 10
"""It sleeps so many times as long as it looks, so as not to slow down what it looks at."""


def rows(table: bytes) -> Iterator[tuple[bytes, bytes, bytes]]:
    """Yield virtual server, real server and weight of each row of the table."""
    virtual = b""
    for line in table.splitlines():
        fields = line.split()
        if fields[0] in (b"TCP", b"UDP"):
            virtual = fields[1]
        elif fields[0] == b"->" and virtual:
            yield virtual, fields[1], fields[3]


def follow(connection: socket.socket) -> None:
    """Tell of each change, until the connection breaks."""
    raw = b""
    known: dict[tuple[bytes, bytes], bytes] = {}
    while True:
        began = time.monotonic()
        found = TABLE.read_bytes()
        if found != raw:
            raw = found
            now = {(virtual, real): weight for virtual, real, weight in rows(found)}
            gone = dict.fromkeys(known.keys() - now.keys(), b"0")
            changed = {key: weight for key, weight in now.items() if known.get(key) != weight}
            lines = [b"%s %s %s\n" % (*key, weight) for key, weight in (gone | changed).items()]
            known = now
            connection.sendall(b"".join(lines))
        time.sleep(SHARE * (time.monotonic() - began))


if __name__ == "__main__":
    with socket.create_server(("", int(sys.argv[1]))) as server:
        connection, _ = server.accept()
        connection.recv(65536)
        connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n")
        follow(connection)

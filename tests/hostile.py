"""Servers of which each connection is played by hand, in a thread of its own.

They run beside the event loop, so that what is to send at full speed does.
"""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_PATIENCE_S = 30.0


class Peer:
    """The server's end of a connection."""

    def __init__(self, opened: socket.socket, ending: threading.Event) -> None:
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # a reset loses what waits
        self._socket = opened
        self._ending = ending

    def hear(self) -> bytes:
        """Return some of what the other end says; nothing once it has hung up."""
        return self._socket.recv(65_536)

    def say(self, data: bytes) -> None:
        self._socket.sendall(data)

    def wait(self) -> None:
        """Say nothing until the other end hangs up."""
        while self.hear():
            pass

    def pause(self, seconds: float) -> None:
        """Say nothing for a moment."""
        if self._ending.wait(seconds):
            raise ConnectionAbortedError

    def reset(self) -> None:
        """Break the connection off."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self._socket.close()

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def give_up(self) -> None:
        """Have whatever goes on with it fail. For another thread to call."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def shake(self, context: ssl.SSLContext) -> None:
        """Go on in TLS."""
        self._socket = context.wrap_socket(self._socket, server_side=True)

    @property
    def is_resumed(self) -> bool:
        """Whether the handshake was that of an earlier session."""
        assert isinstance(self._socket, ssl.SSLSocket)
        return bool(self._socket.session_reused)

    def first_flight(self, context: ssl.SSLContext) -> bytes:
        """Return what a server of TLS says first, to what the other end has begun with."""
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        shaking = context.wrap_bio(incoming, outgoing, server_side=True)
        incoming.write(self.hear())
        with suppress(ssl.SSLWantReadError):
            shaking.do_handshake()
        return outgoing.read()


Play = Callable[[Peer], None]
"""What is done on a connection, which is closed after it."""


class Played:
    """A server. `connections` is how many it has had."""

    def __init__(self, play: Play) -> None:
        self.connections = 0
        self._play = play
        self._ending = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._peers: list[Peer] = []
        self._threads = [threading.Thread(target=self._accept)]

    @property
    def port(self) -> int:
        port: int = self._listener.getsockname()[1]
        return port

    def start(self) -> None:
        self._threads[0].start()

    def end(self) -> None:
        """Break everything off."""
        self._ending.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._threads[0].join(_PATIENCE_S)
        for peer in self._peers:
            peer.give_up()
        for thread in self._threads:
            thread.join(_PATIENCE_S)
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                opened, _ = self._listener.accept()
                self.connections += 1
                peer = Peer(opened, self._ending)
                self._peers.append(peer)
                thread = threading.Thread(target=self._serve, args=(peer,))
                self._threads.append(thread)
                thread.start()

    def _serve(self, peer: Peer) -> None:
        with suppress(OSError):
            self._play(peer)
        peer.close()


@contextmanager
def played(play: Play) -> Iterator[Played]:
    """Run a server for the block."""
    server = Played(play)
    server.start()
    try:
        yield server
    finally:
        server.end()

"""The call of a health service as it is said: HTTP/2 (RFC 9113), and gRPC on top of it."""

from __future__ import annotations

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.settings import SettingCodes, Settings
from hpack import Encoder

from registrar.probe.grpc_health import METHOD, Verdicts, question

STREAM = 1
"""The one that the call is on."""
MOST_HEADERS = 8192
"""In bytes, as RFC 9113 counts them."""

_LONGER_MS = 100
"""So much longer than ours is the server's timeout, else it is chance which of them ends first."""
_MOST_TIMEOUT_MS = 99_999_999
_CONFIG = H2Configuration(
    header_encoding=None, validate_outbound_headers=False, normalize_outbound_headers=False
)
_SETTINGS = Settings(
    initial_values={SettingCodes.ENABLE_PUSH: 0, SettingCodes.MAX_HEADER_LIST_SIZE: MOST_HEADERS}
)


class Call:
    """All that the calls of one check have in common, made beforehand."""

    def __init__(self, service: str, scheme: str, timeout: float) -> None:
        milliseconds = min(int(timeout * 1000) + _LONGER_MS, _MOST_TIMEOUT_MS)
        pseudo = [(":method", "POST"), (":scheme", scheme), (":path", METHOD)]
        headers = [
            ("te", "trailers"),
            ("grpc-timeout", f"{milliseconds}m"),
            ("content-type", "application/grpc"),
            ("user-agent", "registrar"),
        ]
        self._encoder = Encoder()
        self._pseudo = self._encoder.encode(pseudo)
        self._headers = self._encoder.encode(headers)
        self._question = question(service)
        self.verdicts = Verdicts(service)

    def begin(self, authority: bytes) -> H2Connection:
        """Return a connection on which it is said."""
        made = H2Connection(_CONFIG)
        made.local_settings = _SETTINGS
        made.decoder.max_header_list_size = MOST_HEADERS
        # Never indexed, so that what comes after it stays the same.
        named = self._encoder.encode([(b":authority", authority, True)], huffman=False)
        made.encoder = _Prepared(b"%b%b%b" % (self._pseudo, named, self._headers))
        made.initiate_connection()
        made.send_headers(STREAM, ())
        made.send_data(STREAM, self._question, end_stream=True)
        return made


class _Prepared(Encoder):
    """Has the headers of the one request encoded already: half of what a call costs to say."""

    def __init__(self, block: bytes) -> None:
        super().__init__()
        self._block = block

    def encode(self, headers: object, huffman: bool = True) -> bytes:  # noqa: ARG002, FBT001, FBT002
        """Return them, whatever the headers."""
        return self._block

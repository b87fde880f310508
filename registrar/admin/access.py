"""Who may have something done over HTTP: whoever shows the token, and not too often."""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from registrar.errors import SourceError
from registrar.threads import in_thread
from registrar.tokens import secret_in

BURST = 5
EVERY_S = 10.0
"""Five resyncs at once, then one every ten seconds; as many attempts without the token."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is refused: a status of HTTP, words for whoever asked, seconds to wait."""

    status: int
    words: str
    retry_after: int | None = None


class Bucket:
    """So much at once, and then one every so often."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._left = float(BURST)
        self._filled = clock()

    def take(self) -> float:
        """Take one; return 0, or in how many seconds there is one."""
        now = self._clock()
        self._left = min(BURST, self._left + (now - self._filled) / EVERY_S)
        self._filled = now
        if self._left < 1:
            return (1 - self._left) * EVERY_S
        self._left -= 1
        return 0.0


class Access:
    """Looks at the token of requests. The token's file is read each time: it may be another."""

    def __init__(
        self, token_file: Path | None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._token_file = token_file
        self._granted, self._refused = Bucket(clock), Bucket(clock)

    async def refuse(self, authorization: str | None) -> Refusal | None:
        """Return why a request with such a header is refused, None if it is not."""
        refusal = await in_thread(partial(self._refusal, authorization))
        wait = (self._granted if refusal is None else self._refused).take()
        if wait:
            return Refusal(429, "too many requests; wait a while", int(wait) + 1)
        return refusal

    def _refusal(self, authorization: str | None) -> Refusal | None:
        if self._token_file is None:
            return Refusal(403, "nothing can be ordered here: `admin.tokenFile` is not configured")
        if authorization is None or not authorization.startswith("Bearer "):
            return Refusal(401, "send the token as `Authorization: Bearer TOKEN`")
        try:
            token = secret_in(self._token_file)
        except SourceError:
            return Refusal(403, "the file of `admin.tokenFile` can't be read; see the log")
        shown = authorization.removeprefix("Bearer ").strip()
        if not hmac.compare_digest(shown.encode(errors="surrogateescape"), token.encode()):
            return Refusal(403, "this is not the token")
        return None

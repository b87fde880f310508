"""What an error of a check amounts to, and says to a person.

Our own want of something says nothing of a backend, and silence may be a fault on the way.
"""

from __future__ import annotations

import errno
import os
from functools import lru_cache

from registrar.model import CheckResult, Outcome

_MOST = 4096
"""Of results that are kept: equal ones are one value, for whoever compares them."""

_OURS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_OURS_TO_DIAL = _OURS | {
    errno.EADDRNOTAVAIL,
    errno.EADDRINUSE,
    errno.EAGAIN,
    errno.ENETUNREACH,
    errno.ENETDOWN,
    errno.ENODEV,
    errno.EINVAL,
    errno.EPERM,
    errno.EACCES,
    errno.EMSGSIZE,
}
"""Before anything is sent these are of our own: no port, address, interface, route or right.

EINVAL is what a route of type blackhole gives, EPERM what a firewall on this machine gives.
"""

_ON_THE_WAY = frozenset(
    {
        errno.ETIMEDOUT,
        errno.EHOSTUNREACH,
        errno.EHOSTDOWN,
        errno.ENETUNREACH,
        errno.EACCES,
        errno.EPROTO,
        errno.ENOPROTOOPT,
        errno.EOPNOTSUPP,
    }
)
"""What ICMP errors (RFC 792, RFC 4443) become: it need not be the backend that is at fault."""


@lru_cache(_MOST)
def passed(reason: str) -> CheckResult:
    """Return that a check has passed."""
    return CheckResult(Outcome.PASSED, reason)


@lru_cache(_MOST)
def failed(reason: str) -> CheckResult:
    """Return that a check has failed: the backend has said no, or what it should not."""
    return CheckResult(Outcome.FAILED, reason)


@lru_cache(_MOST)
def silent(awaited: str, timeout: float) -> CheckResult:
    """Return that what was awaited did not come within so many seconds."""
    return CheckResult(Outcome.SILENT, f"no {awaited} within {timeout:g} s")


@lru_cache(_MOST)
def not_run(why: str) -> CheckResult:
    """Return that a check could not be run."""
    return CheckResult(Outcome.UNKNOWN, f"could not be run: {why}")


@lru_cache(_MOST)
def of_dialling(code: int) -> CheckResult:
    """Return what an error number means that came before anything was sent."""
    if code in _OURS_TO_DIAL:
        return not_run(os.strerror(code).lower())
    return of_network(code)


@lru_cache(_MOST)
def of_network(code: int, awaited: str = "") -> CheckResult:
    """Return what an error number means that came back, while something was awaited."""
    words = os.strerror(code).lower()
    if code in _OURS:
        return not_run(words)
    if code in _ON_THE_WAY:
        return CheckResult(Outcome.SILENT, words)
    return failed(f"{words}, without {awaited}" if awaited else words)

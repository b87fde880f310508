"""Reads what people write in commands and requests: Services, backends, times."""

from __future__ import annotations

from ipaddress import ip_address

from registrar.decide.drain import Chosen
from registrar.model import ServiceKey
from registrar.settings import DNS_LABEL

MOST_TIMEOUT_S = 600.0
MOST_PORT = 65535


def service_key(text: str) -> ServiceKey:
    """Return the Service that NAMESPACE/NAME stands for. Raise ValueError if it is none."""
    namespace, _, name = text.partition("/")
    if not (DNS_LABEL.fullmatch(namespace) and DNS_LABEL.fullmatch(name)):
        raise ValueError(f"{text[:100]!r} is not a Service; write NAMESPACE/NAME, as shop/mysql")
    return ServiceKey(namespace, name)


def backend(text: str) -> Chosen:
    """Return the backend that ADDRESS or ADDRESS:PORT stands for. Raise ValueError if it is none.

    An IPv6 address stands in brackets before a port.
    """
    address, port = text, ""
    if text.startswith("["):
        address, _, port = text[1:].partition("]")
        port = port.removeprefix(":")
    elif text.count(":") == 1:
        address, _, port = text.partition(":")
    try:
        if not ((port.isascii() and port.isdigit()) or not port):
            raise ValueError  # noqa: TRY301  int() reads more than digits
        chosen = Chosen(ip_address(address), int(port) if port else None)
    except ValueError:
        chosen = None
    if chosen is None or not (chosen.port is None or 0 < chosen.port <= MOST_PORT):
        raise ValueError(
            f"{text[:100]!r} is not a backend; write ADDRESS or ADDRESS:PORT, as 10.20.0.7:8080 or "
            "[2001:db8::7]:8080"
        )
    return chosen


def check_timeout(seconds: float) -> None:
    """Raise ValueError if nobody may wait for so long."""
    if not 0 < seconds <= MOST_TIMEOUT_S:
        raise ValueError(f"timeout is to be more than 0 s, and {MOST_TIMEOUT_S:g} s at most")

"""Writes Events on Services, for whoever describes one with kubectl.

They are core/v1: that is what every client shows with count and times, and events.k8s.io is another
view of the same objects. A failure to write one is logged once, and nothing else comes of it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from random import Random
from typing import TypeAlias

import structlog

from registrar.cluster.client import EVENTS, Client
from registrar.cluster.objects import Event, EventCount, EventSource, ObjectMeta, ObjectReference
from registrar.errors import ClusterError, NamespaceTerminating, NotFound, NotLeading
from registrar.logs import visible
from registrar.model import ServiceKey

COMPONENT = "registrar"
REMEMBERED = 1000
MOST_CHARACTERS = 1024

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class News:
    """What an Event says; one that says the same of the same Service is counted, not added."""

    key: ServiceKey
    uid: str
    reason: str
    message: str
    is_warning: bool


_Known: TypeAlias = tuple[str, int]


class EventWriter:
    """Writes Events. It never raises."""

    def __init__(self, client: Client, now: Callable[[], datetime], rng: Random) -> None:
        self._client = client
        self._now = now
        self._rng = rng
        self._known: OrderedDict[News, _Known] = OrderedDict()
        self._fails = False

    async def write(self, news: News) -> None:
        """Write an Event, or count it."""
        try:
            await self._write(news)
        except NamespaceTerminating:
            return  # there is nobody left to read it
        except NotFound:
            return  # nor where the namespace is gone
        except NotLeading:
            return  # the new leader tells what it sees
        except ClusterError as error:
            if not self._fails:
                log.warning("events-not-written", error=str(error))
            self._fails = True
        else:
            if self._fails:
                log.info("events-written-again")
            self._fails = False

    async def _write(self, news: News) -> None:
        stamp = self._now().strftime("%Y-%m-%dT%H:%M:%SZ")
        name, count = self._known.pop(news, ("", 0))
        if name:
            change = EventCount(last_timestamp=stamp, count=count + 1)
            try:
                await self._client.merge(EVENTS, news.key.namespace, name, change)
            except NotFound:  # the API server keeps them for an hour
                name, count = "", 0
        if not name:
            name = f"{news.key.name}.{self._rng.getrandbits(64):016x}"
            await self._client.create(EVENTS, _event(news, name, stamp))
        self._known[news] = (name, count + 1)
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)


def _event(news: News, name: str, stamp: str) -> Event:
    key = news.key
    return Event(
        api_version="v1",
        kind="Event",
        metadata=ObjectMeta(name=name, namespace=key.namespace),
        involved_object=ObjectReference(
            api_version="v1",
            kind="Service",
            namespace=key.namespace,
            name=key.name,
            uid=news.uid,
        ),
        type="Warning" if news.is_warning else "Normal",
        reason=news.reason,
        message=visible(news.message)[:MOST_CHARACTERS],
        source=EventSource(component=COMPONENT),
        first_timestamp=stamp,
        last_timestamp=stamp,
        count=1,
    )

"""Records every event of a Service's slices, and what their union served after each.

It must never look at anything but the watch: a state between two events is what nodes see.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from threading import Thread
from typing import Any

import httpx

from tests.integration.site import Addresses, Site, in_slices, ready_addresses
from tests.lab import wait_for


@dataclass
class Recording:
    """What was served after each event: `unions` holds the ready addresses, `listed` all of them.

    `slices` is what is there now.
    """

    unions: list[frozenset[str]] = field(default_factory=list)
    listed: list[frozenset[str]] = field(default_factory=list)
    slices: dict[str, dict[str, Any]] = field(default_factory=dict)

    def note(self, event: dict[str, Any]) -> None:
        if event["type"] not in {"ADDED", "MODIFIED", "DELETED"}:
            return
        item = event["object"]
        self.slices.pop(item["metadata"]["name"], None)
        if event["type"] != "DELETED":
            self.slices[item["metadata"]["name"]] = item
        self.unions.append(ready_addresses(self.slices.values()))
        self.listed.append(frozenset(in_slices(self.slices.values())))

    def erased(self, places: frozenset[str]) -> list[frozenset[str]]:
        """Return which of the addresses were not even listed, once all had been there."""
        first = next((n for n, seen in enumerate(self.listed) if places <= seen), None)
        assert first is not None, "they were never all there"
        return [places - seen for seen in self.listed[first:] if not places <= seen]

    def gaps(self, healthy: frozenset[str]) -> list[tuple[int, frozenset[str]]]:
        """Return the events after which a healthy address was missing, once all were there."""
        first = next((n for n, seen in enumerate(self.unions) if healthy <= seen), None)
        assert first is not None, "they were never all there"
        rest = enumerate(self.unions[first:], first)
        return [(n, healthy - seen) for n, seen in rest if not healthy <= seen]


@dataclass
class RecordingOfAll:
    """What was served of each Service of a namespace after each event."""

    by_service: dict[str, Recording] = field(default_factory=dict)

    def note(self, event: dict[str, Any]) -> None:
        labels = event["object"].get("metadata", {}).get("labels", {})
        name = labels.get("kubernetes.io/service-name")
        if name is not None:
            self.by_service.setdefault(name, Recording()).note(event)

    def count(self, wanted: Addresses) -> int:
        """Return of how many Services exactly this is served now."""
        return sum(
            in_slices(one.slices.values()) == wanted for one in list(self.by_service.values())
        )

    def gaps(self, healthy: frozenset[str]) -> list[tuple[str, int, frozenset[str]]]:
        """Return where a healthy address was missing, once all were there: Service and event."""
        found = self.by_service.items()
        return [(name, *gap) for name, one in found for gap in one.gaps(healthy)]


@contextlib.contextmanager
def recording(site: Site, service: str) -> Iterator[Recording]:
    """Record one Service within the block."""
    recorded = Recording()
    with _watching(site, recorded.note, labelSelector=f"kubernetes.io/service-name={service}"):
        yield recorded
        # Whatever has happened within the block is to be seen before it is judged.
        now = ready_addresses(site.slices(service))
        wait_for(lambda: ready_addresses(recorded.slices.values()) == now, 30, "the last event")


@contextlib.contextmanager
def recording_all(site: Site) -> Iterator[RecordingOfAll]:
    """Record all Services of the site within the block."""
    recorded = RecordingOfAll()
    with _watching(site, recorded.note):
        yield recorded


@contextlib.contextmanager
def _watching(site: Site, note: Callable[[dict[str, Any]], None], **query: str) -> Iterator[None]:
    url = f"/apis/discovery.k8s.io/v1/namespaces/{site.namespace}/endpointslices"
    query = {"watch": "true", "timeoutSeconds": "600", **query}
    with site.lab.api.stream("GET", url, params=query, timeout=None) as answer:
        answer.raise_for_status()

        def read() -> None:
            with contextlib.suppress(httpx.HTTPError):
                for line in answer.iter_lines():
                    note(json.loads(line))

        Thread(target=read, daemon=True).start()
        yield

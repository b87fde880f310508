"""Follows what a namespace publishes on a real API server: what is served, and since when."""

from __future__ import annotations

import json
import sys
import time
from collections import defaultdict
from collections.abc import Collection
from threading import Condition, Thread
from typing import Any

import httpx

from tests.integration.site import Addresses, Site, in_endpoints, in_slices

SLICES, ENDPOINTS = "apis/discovery.k8s.io/v1", "api/v1"
PATIENCE_S = 60.0
SERVICE_NAME = "kubernetes.io/service-name"


class Watcher:
    """Watches from the moment it is made until the lab ends: slices, or `of` v1 Endpoints."""

    def __init__(self, site: Site, of: str = SLICES) -> None:
        self._site = site
        self._are_slices = of == SLICES
        resource = "endpointslices" if self._are_slices else "endpoints"
        self._url = f"/{of}/namespaces/{site.namespace}/{resource}"
        self._objects = defaultdict[str, dict[str, Addresses]](dict)
        self._served = defaultdict[str, Addresses](dict)
        self._turned: dict[tuple[str, str], float] = {}
        self._news = Condition()
        Thread(target=self._follow, daemon=True).start()

    def wait(
        self, service: str, place: str, *, served: bool = True, patience: float = PATIENCE_S
    ) -> float:
        """Return when a Service was seen to serve a place, or no longer to do so.

        That is in monotonic seconds. A place is ADDRESS:PORT.
        """
        with self._news:
            if not self._news.wait_for(lambda: self._serves(service, place) is served, patience):
                raise TimeoutError(f"{service} and {place}: not within {patience:g} s")
            return self._turned[service, place]

    def wait_for_all(
        self, wanted: Collection[tuple[str, str]], *, served: bool = True, patience: float
    ) -> dict[tuple[str, str], float]:
        """Return when each Service was seen so with its place; those in time, if not all are."""

        def done() -> dict[tuple[str, str], float]:
            turned = self._turned
            return {one: turned[one] for one in wanted if self._serves(*one) is served}

        deadline = time.monotonic() + patience
        with self._news:
            while len(found := done()) < len(wanted) and time.monotonic() < deadline:
                self._news.wait(0.1)
        return found

    def ready(self) -> int:
        """Return how many places are served, over all Services."""
        with self._news:
            return sum(sum(places.values()) for places in self._served.values())

    def _serves(self, service: str, place: str) -> bool:
        return self._served[service].get(place, False)

    def _follow(self) -> None:
        api = self._site.lab.api
        while not api.is_closed:  # else the lab has ended
            try:
                with api.stream("GET", self._url, params={"watch": "true"}, timeout=None) as answer:
                    self._objects.clear()  # a watch begins with all that is there
                    for line in answer.iter_lines():
                        self._note(json.loads(line))
            except (httpx.HTTPError, OSError) as error:
                if not api.is_closed:
                    print(f"a watch has broken: {error}", file=sys.stderr)

    def _note(self, event: dict[str, Any]) -> None:
        now, found = time.monotonic(), event["object"]
        meta = found["metadata"]
        service = meta["labels"][SERVICE_NAME] if self._are_slices else meta["name"]
        with self._news:
            self._objects[service].pop(meta["name"], None)
            if event["type"] != "DELETED":
                places = in_slices([found]) if self._are_slices else in_endpoints(found)
                self._objects[service][meta["name"]] = places
            before = self._served[service]
            after: Addresses = {}
            for one in self._objects[service].values():
                for place, ready in one.items():
                    after[place] = ready or after.get(place, False)
            for place in before | after:
                if before.get(place, False) is not after.get(place, False):
                    self._turned[service, place] = now
            self._served[service] = after
            self._news.notify_all()

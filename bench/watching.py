"""Follows the slices of a namespace on a real API server: what is served, and since when."""

from __future__ import annotations

import json
import time
from threading import Condition, Thread
from typing import Any

import httpx

from tests.integration.site import Site, in_slices

PATIENCE_S = 60.0


class Watcher:
    """Watches from the moment it is made until the lab ends."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._slices: dict[str, dict[str, Any]] = {}
        self._news = Condition()
        self._seen_at = 0.0
        Thread(target=self._follow, daemon=True).start()

    def wait(self, service: str, place: str, *, served: bool = True) -> float:
        """Return when a Service was seen to serve a place, or no longer to do so.

        That is in monotonic seconds. A place is ADDRESS:PORT.
        """
        with self._news:
            if not self._news.wait_for(
                lambda: (place in self._places(service)) is served, PATIENCE_S
            ):
                raise TimeoutError(f"{service} and {place}: not within {PATIENCE_S:g} s")
            return self._seen_at

    def _places(self, service: str) -> set[str]:
        label = "kubernetes.io/service-name"
        found = [s for s in self._slices.values() if s["metadata"]["labels"][label] == service]
        return {place for place, ready in in_slices(found).items() if ready}

    def _follow(self) -> None:
        url = f"/apis/discovery.k8s.io/v1/namespaces/{self._site.namespace}/endpointslices"
        try:
            with self._site.lab.api.stream("GET", url, params={"watch": "true"}, timeout=None) as s:
                for line in s.iter_lines():
                    self._note(json.loads(line))
        except httpx.HTTPError:
            return  # the lab has ended

    def _note(self, event: dict[str, Any]) -> None:
        name = event["object"]["metadata"]["name"]
        with self._news:
            self._slices.pop(name, None)
            if event["type"] != "DELETED":
                self._slices[name] = event["object"]
            self._seen_at = time.monotonic()
            self._news.notify_all()

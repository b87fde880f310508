"""N Services of three backends each, of a crowd, and how registrar is told of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

from bench.crowd import place
from tests.integration.site import Site

BACKENDS = 3
SENDERS = 4
CHECKED = "{type: tcp, interval: 1s, timeout: 1s, rise: 1, fall: 1}"
UNCHECKED = "{type: none}"


def service(number: int) -> str:
    """Return the name of a Service."""
    return f"s{number}"


def numbers(number: int) -> range:
    """Return the numbers of a Service's backends."""
    return range(number * BACKENDS, (number + 1) * BACKENDS)


def create_services(site: Site, names: Iterable[str], *, headless: bool = False) -> None:
    """Make Services, several at a time."""
    url = f"/api/v1/namespaces/{site.namespace}/services"
    spec = {"ports": [{"port": 80}], **({"clusterIP": "None"} if headless else {})}

    def create(name: str) -> None:
        made = site.object("v1", "Service", name, spec=spec)
        site.lab.api.post(url, json=made).raise_for_status()

    with ThreadPoolExecutor(SENDERS) as pool:
        list(pool.map(create, names))


class Population:
    """Services in a site's namespace, a group of the same name for each in the site's file."""

    def __init__(self, site: Site, *, headless: bool = False) -> None:
        self.site = site
        self._headless = headless
        self.count = 0
        self.groups: dict[str, Sequence[str]] = {}

    def grow(self, count: int) -> None:
        """Have so many Services, or leave it where there are more; list their backends."""
        new = map(service, range(self.count, count))
        create_services(self.site, new, headless=self._headless)
        self.count = max(count, self.count)
        self.list_all()

    def list_all(self) -> None:
        """Write the file with all backends of all Services."""
        for number in range(self.count):
            self.groups[service(number)] = [place(one) for one in numbers(number)]
        self.list()

    def list_last(self, services: Iterable[int], *, is_listed: bool) -> None:
        """List the last backend of some Services no more, or again."""
        for number in services:
            *rest, last = map(place, numbers(number))
            self.groups[service(number)] = [*rest, last] if is_listed else rest
        self.list()

    def list(self) -> None:
        """Write the file of backends."""
        self.site.list_backends(**self.groups)

    def configure(
        self, *, health: str, more: str = "", others: str = "", sources: str = ""
    ) -> None:
        """Write the configuration, with a mapping for each Service.

        `others` are lines of further mappings, `sources` of further sources, `more` sections.
        """
        mappings = [
            f"- {{service: NS/{service(n)}, from: {{source: files, group: {service(n)}}}}}"
            for n in range(self.count)
        ]
        self.site.configure(
            "\n".join([*mappings, others]), health=health, more=more, sources=sources
        )

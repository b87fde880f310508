"""Turns the settings of one Service into its mapping, and collects what is wrong with them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from registrar.document import Document, Step
from registrar.errors import ConfigError, Problem
from registrar.health import HealthSettings, over, read_check
from registrar.model import (
    Confirm,
    HealthCheck,
    NewPort,
    NewService,
    PortMapping,
    Publish,
    QueryRef,
    ServiceMapping,
)
from registrar.plugins import SourceClass
from registrar.problems import read_settings, unknown_name
from registrar.shape import (
    CreateSettings,
    DefaultSettings,
    PluginSettings,
    PortSettings,
    ServiceSettings,
    SourceName,
)
from registrar.source import Options
from registrar.yaml_values import Value

Where = tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class SourceConfig:
    """A configured source: the class of its type, and its options."""

    name: str
    plugin: SourceClass
    options: Options


class MappingReader:
    """Reads mappings of one document. `named` are all sources in it, `sources` those in order.

    What is wrong is appended to `problems`.
    """

    def __init__(
        self,
        document: Document,
        defaults: DefaultSettings,
        named: Collection[str],
        sources: Mapping[str, SourceConfig],
        problems: list[Problem],
    ) -> None:
        self._document = document
        self._defaults = defaults
        self._named = named
        self._sources = sources
        self._problems = problems

    def read(self, path: Where, service: ServiceSettings) -> ServiceMapping:
        """Return the mapping that stands at `path`."""
        ports: tuple[PortMapping, ...] = ()
        if (service.queries is None) == (service.ports is None):
            self._wrong(
                path,
                f"Service {service.service} needs either `from` or `ports`",
                "give `from` for a Service with one port, `ports` for one with several",
            )
        elif service.ports is not None:
            if service.port is not None:
                self._wrong((*path, "port"), "`port` beside `ports`", "move it into the ports")
            ports = tuple(
                self._read_port((*path, "ports", name), name, port, service)
                for name, port in service.ports.items()
            )
        elif service.queries is not None:
            port = PortSettings.model_construct(queries=service.queries, port=service.port)
            ports = (self._read_port(path, None, port, service),)
        most = service.max_backends or self._defaults.max_backends
        return ServiceMapping(
            service.service,
            ports,
            Publish(service.publish),
            service.adopt,
            self._read_create((*path, "create"), service.create),
            most,
            service.paused,
            service.panic_threshold or 0.0,
        )

    def _read_create(self, path: Where, create: CreateSettings | None) -> NewService | None:
        if create is None:
            return None
        if (create.port is None) == (create.ports is None):
            self._wrong(
                path,
                "`create` needs either `port` or `ports`",
                "give `port` for a Service with one port, `ports` for one with several",
            )
        if create.port is not None:
            return NewService((NewPort("", create.port),), create.headless)
        ports = tuple(
            NewPort(name, port.port, port.protocol, port.target_port, port.app_protocol)
            for name, port in (create.ports or {}).items()
        )
        return NewService(ports, create.headless)

    def _read_port(
        self, path: Where, name: str | None, port: PortSettings, service: ServiceSettings
    ) -> PortMapping:
        is_list = isinstance(self._document.value_at((*path, "from")), list)
        found = [
            self._read_query((*path, "from", index) if is_list else (*path, "from"), entry)
            for index, entry in enumerate(port.queries)
        ]
        queries = tuple(query for query in found if query is not None)
        health = over(over(self._defaults.health, service.health), port.health)
        check = self._read_check((*path, "health"), health)
        by_source = health.type == "source"
        if by_source:
            self._check_told((*path, "health"), queries)
        confirm = self._confirm(service, queries)
        return PortMapping(name, queries, port.port, check, confirm, by_source)

    def _check_told(self, path: Where, queries: tuple[QueryRef, ...]) -> None:
        for name in dict.fromkeys(query.source for query in queries):
            if not self._sources[name].plugin.tells_health:
                self._wrong(
                    path,
                    f"type source, and source {name} says nothing of health",
                    "write another type, such as tcp",
                )

    def _confirm(self, service: ServiceSettings, queries: tuple[QueryRef, ...]) -> Confirm | None:
        given = service.confirm
        if given == "none":
            return None
        if given is not None:
            return Confirm(given.answers, given.seconds)
        # The strictest of its sources: an endpoint may come from any of them.
        kinds = [self._sources[query.source].plugin.confirm for query in queries]
        asked = [confirm for confirm in kinds if confirm is not None]
        if not asked:
            return None
        return Confirm(max(c.answers for c in asked), max(c.seconds for c in asked))

    def _read_query(self, path: Where, entry: PluginSettings) -> QueryRef | None:
        given, rest = split_off("source", entry)
        try:
            name = read_settings(SourceName, self._document, path, given).source
            if name not in self._named:
                message, remedy = unknown_name("source", name, list(self._named))
                self._wrong((*path, "source"), message, remedy)
            elif name in self._sources:
                plugin = self._sources[name].plugin
                return QueryRef(name, read_settings(plugin.query_class, self._document, path, rest))
        except ConfigError as error:
            self._problems += error.problems
        return None

    def _read_check(self, path: Where, health: HealthSettings) -> HealthCheck | None:
        def wrong(key: str | None, message: str, remedy: str) -> None:
            self._wrong(path if key is None else (*path, key), message, remedy)

        return read_check(health, self._document.file.absolute().parent, wrong)

    def _wrong(self, path: Where, message: str, remedy: str) -> None:
        self._problems.append(self._document.problem(path, message, remedy))


def split_off(key: str, entry: PluginSettings) -> tuple[dict[str, Value], dict[str, Value]]:
    """Return the core's own key of an entry, and the plugin's rest."""
    own = {k: v for k, v in entry.items() if k == key}
    return own, {k: v for k, v in entry.items() if k != key}

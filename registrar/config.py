"""Reads the configuration: one YAML file of service mappings, checked in full and frozen.

Every error names file, line, column, value and remedy, and all are reported at once. What depends
on the cluster, or on whether a source answers, is no error here: it is a Hold.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from registrar.document import Document, Step, Value, read_document
from registrar.errors import ConfigError, Problem
from registrar.model import (
    ClusterRange,
    ClusterRanges,
    Confirm,
    HealthCheck,
    HttpProbe,
    Network,
    NetworkRules,
    NewPort,
    NewService,
    PortMapping,
    Preservation,
    Publish,
    QueryRef,
    RangeKind,
    ServiceMapping,
    Target,
    TcpProbe,
)
from registrar.plugins import PluginError, SourceClass, installed_sources, load_source
from registrar.problems import read_settings, unknown_name
from registrar.shape import (
    ConfigSettings,
    CreateSettings,
    HealthSettings,
    PluginSettings,
    PortSettings,
    PreservationSettings,
    ServiceSettings,
    SourceName,
    SourceType,
)
from registrar.source import Options

Where = tuple[Step, ...]

MISSING = "name it with --config FILE or $REGISTRAR_CONFIG"
"""The remedy where there is no such file."""


@dataclass(frozen=True, slots=True)
class SourceConfig:
    """A configured source: the class of its type, and its options."""

    name: str
    plugin: SourceClass
    options: Options


@dataclass(frozen=True, slots=True)
class Config:
    """The whole configuration. `base` is the directory that its relative paths start from.

    `accept_removed` is the digest of a removal of mappings that a person has accepted.
    """

    base: Path
    instance: str
    networks: NetworkRules
    sources: tuple[SourceConfig, ...]
    mappings: tuple[ServiceMapping, ...]
    instance_is_given: bool = True
    accept_removed: str | None = None
    preservation: Preservation = field(default_factory=Preservation)


def read_config(file: Path) -> Config:
    """Read and check a configuration file. Raise ConfigError with every problem found."""
    document = read_document(file, MISSING)
    if document.value is None:
        raise ConfigError(Problem(file, "the file is empty", "write `sources` and `services`"))
    settings = read_settings(ConfigSettings, document, (), document.value)
    return _Reader(document, settings).read()


class _Reader:
    """Turns well-shaped settings into a Config, and collects what is wrong with them."""

    def __init__(self, document: Document, settings: ConfigSettings) -> None:
        self._document = document
        self._settings = settings
        self._problems: list[Problem] = []
        self._sources: dict[str, SourceConfig] = {}

    def read(self) -> Config:
        for name, entry in self._settings.sources.items():
            self._read_source(name, entry)
        mappings = [
            self._read_mapping(("services", index), service)
            for index, service in enumerate(self._settings.services)
        ]
        self._refuse_twins()
        if self._problems:
            raise ConfigError(*self._problems)
        networks = self._settings.networks
        return Config(
            self._document.file.absolute().parent,
            self._settings.instance,
            NetworkRules(networks.allow, networks.deny, _given(networks.cluster)),
            tuple(self._sources.values()),
            tuple(mappings),
            instance_is_given="instance" in self._settings.model_fields_set,
            accept_removed=self._settings.accept_removed,
            preservation=_preservation(self._settings.self_preservation),
        )

    def _read_source(self, name: str, entry: PluginSettings) -> None:
        path: Where = ("sources", name)
        given, rest = _split_off("type", entry)
        try:
            kind = read_settings(SourceType, self._document, path, given).type
            installed = installed_sources()
            if kind not in installed:
                message, remedy = unknown_name("source type", kind, list(installed))
                self._wrong((*path, "type"), message, remedy)
                return
            plugin = load_source(installed[kind])
            options = read_settings(plugin.options_class, self._document, path, rest)
            self._sources[name] = SourceConfig(name, plugin, options)
        except ConfigError as error:
            self._problems += error.problems
        except PluginError as error:
            self._wrong(path, str(error), "reinstall the package that brings it")

    def _read_mapping(self, path: Where, service: ServiceSettings) -> ServiceMapping:
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
        most = service.max_backends or self._settings.defaults.max_backends
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
        health = _over(_over(self._settings.defaults.health, service.health), port.health)
        check = self._read_check((*path, "health"), health)
        return PortMapping(name, queries, port.port, check, self._confirm(service, queries))

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
        given, rest = _split_off("source", entry)
        try:
            name = read_settings(SourceName, self._document, path, given).source
            if name not in self._settings.sources:
                message, remedy = unknown_name("source", name, list(self._settings.sources))
                self._wrong((*path, "source"), message, remedy)
            elif name in self._sources:
                plugin = self._sources[name].plugin
                return QueryRef(name, read_settings(plugin.query_class, self._document, path, rest))
        except ConfigError as error:
            self._problems += error.problems
        return None

    def _read_check(self, path: Where, health: HealthSettings) -> HealthCheck | None:
        if health.path is not None and health.type != "http":
            kind = health.type or "tcp"
            self._wrong((*path, "path"), f"`path` beside type {kind}", "write `type: http`")
        if health.type == "none":
            return None
        probe = HttpProbe(health.path or "/") if health.type == "http" else TcpProbe()
        times = {
            name: value
            for name in ("interval", "timeout", "rise", "fall")
            if (value := getattr(health, name)) is not None
        }
        check = HealthCheck(probe, **times)
        if check.timeout > check.interval:
            self._wrong(
                path,
                f"a timeout of {check.timeout:g}s is longer than the interval of "
                f"{check.interval:g}s",
                "shorten the timeout or lengthen the interval",
            )
        return check

    def _refuse_twins(self) -> None:
        first: dict[object, int] = {}
        for index, service in enumerate(self._settings.services):
            line, _ = self._document.place(("services", index, "service"))
            if service.service in first:
                self._wrong(
                    ("services", index, "service"),
                    f"Service {service.service} stands twice, first in line "
                    f"{first[service.service]}",
                    "keep one mapping, whose `from` takes a list of queries",
                )
            first.setdefault(service.service, line)

    def _wrong(self, path: Where, message: str, remedy: str) -> None:
        self._problems.append(self._document.problem(path, message, remedy))


CANARY_CHECK = HealthCheck(TcpProbe(), interval=2.0, timeout=1.0)


def _preservation(settings: PreservationSettings) -> Preservation:
    canaries = tuple(Target(address, port, CANARY_CHECK) for address, port in settings.canary)
    return Preservation(settings.enabled, canaries, settings.max_hold)


def _given(ranges: Iterable[Network]) -> ClusterRanges:
    return ClusterRanges(tuple(ClusterRange(one, RangeKind.GIVEN) for one in ranges))


def _split_off(key: str, entry: PluginSettings) -> tuple[dict[str, Value], dict[str, Value]]:
    """Return the core's own key of an entry, and the plugin's rest."""
    own = {k: v for k, v in entry.items() if k == key}
    return own, {k: v for k, v in entry.items() if k != key}


def _over(outer: HealthSettings, inner: HealthSettings) -> HealthSettings:
    """Return the inner settings, completed by the outer ones. A path belongs to its own type."""
    merged = outer.model_copy(update=inner.model_dump(exclude_unset=True))
    if inner.type is not None and inner.type != "http" and inner.path is None:
        return merged.model_copy(update={"path": None})
    return merged

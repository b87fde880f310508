"""Reads the configuration: one YAML file of service mappings, checked in full and frozen.

Every error names file, line, column, value and remedy, and all are reported at once. What depends
on the cluster, or on whether a source answers, is no error here: it is a Hold.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC
from pathlib import Path

from apscheduler.triggers.cron import CronTrigger

from registrar.document import Document, read_document
from registrar.errors import ConfigError, Problem
from registrar.file_reader import Signature, file_signature
from registrar.mappings import MappingReader, SourceConfig, Where, split_off
from registrar.model import (
    Admin,
    ApiLimits,
    ClusterRange,
    ClusterRanges,
    HealthCheck,
    LeaderElection,
    Network,
    NetworkRules,
    Periodic,
    Preservation,
    RangeKind,
    ServiceMapping,
    Target,
    TcpProbe,
)
from registrar.plugins import PluginError, installed_sources, load_source
from registrar.problems import read_settings, shown, unknown_name
from registrar.shape import (
    ApiServerSettings,
    ConfigSettings,
    LeaderElectionSettings,
    PluginSettings,
    PreservationSettings,
    SourceType,
)

MISSING = "name it with --config FILE or $REGISTRAR_CONFIG"
"""The remedy where there is no such file."""


@dataclass(frozen=True, slots=True)
class Config:
    """The whole configuration. `base` is the directory that its relative paths start from.

    `accept_removed` is the digest of a removal of mappings that a person has accepted. `election`
    is None where there is to be none; `unplaced` is what to say of it where its Lease would have no
    namespace, if there has to be one. `signature` is what the file was like right before it was
    read; None where that is not known.
    """

    base: Path
    instance: str
    networks: NetworkRules
    sources: tuple[SourceConfig, ...]
    mappings: tuple[ServiceMapping, ...]
    instance_is_given: bool = True
    accept_removed: str | None = None
    preservation: Preservation = field(default_factory=Preservation)
    election: LeaderElection | None = None
    admin: Admin = field(default_factory=Admin)
    resync: Periodic = field(default_factory=Periodic)
    unplaced: Problem | None = field(default=None, compare=False)
    api: ApiLimits = field(default_factory=ApiLimits)
    signature: Signature | None = field(default=None, compare=False)


def read_config(file: Path) -> Config:
    """Read and check a configuration file. Raise ConfigError with every problem found."""
    signature = None
    with contextlib.suppress(OSError):  # reading it says what is wrong
        signature = file_signature(file)
    document = read_document(file, MISSING)
    if document.value is None:
        raise ConfigError(Problem(file, "the file is empty", "write `sources` and `services`"))
    settings = read_settings(ConfigSettings, document, (), document.value)
    return replace(_Reader(document, settings).read(), signature=signature)


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
        reader = MappingReader(
            self._document,
            self._settings.defaults,
            self._settings.sources.keys(),
            self._sources,
            self._problems,
        )
        mappings = [
            reader.read(("services", index), service)
            for index, service in enumerate(self._settings.services)
        ]
        self._refuse_twins()
        self._check_election()
        self._check_resync()
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
            election=_election(self._settings.leader_election),
            unplaced=self._unplaced(),
            admin=self._admin(),
            resync=Periodic(self._settings.resync.every, self._settings.resync.cron),
            api=_limits(self._settings.api_server),
        )

    def _read_source(self, name: str, entry: PluginSettings) -> None:
        path: Where = ("sources", name)
        given, rest = split_off("type", entry)
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

    def _refuse_twins(self) -> None:
        first: dict[object, int] = {}
        for index, service in enumerate(self._settings.services):
            earlier = first.setdefault(service.service, index)
            if earlier != index:
                line, _ = self._document.place(("services", earlier, "service"))
                self._wrong(
                    ("services", index, "service"),
                    f"Service {service.service} stands twice, first in line {line}",
                    "keep one mapping, whose `from` takes a list of queries",
                )

    def _check_election(self) -> None:
        times = self._settings.leader_election
        if times.renew_deadline >= times.lease_duration:
            self._wrong(
                ("leaderElection", "renewDeadline"),
                f"leaderElection.renewDeadline ({times.renew_deadline:g}s) is not shorter than "
                f"leaseDuration ({times.lease_duration:g}s)",
                "a leader has to stop before others may begin: make it two thirds of that",
            )
        if times.retry_period >= times.renew_deadline:
            self._wrong(
                ("leaderElection", "retryPeriod"),
                f"leaderElection.retryPeriod ({times.retry_period:g}s) is not shorter than "
                f"renewDeadline ({times.renew_deadline:g}s)",
                "make it a fifth of that",
            )

    def _admin(self) -> Admin:
        settings, base = self._settings.admin, self._document.file.absolute().parent
        return Admin(
            settings.listen,
            base / settings.token_file if settings.token_file else None,
            base / settings.socket if settings.socket else None,
            frozenset(host.lower() for host in settings.hosts),
        )

    def _check_resync(self) -> None:
        settings = self._settings.resync
        if settings.every is not None and settings.cron is not None:
            self._wrong(
                ("resync",),
                "resync: both `every` and `cron` are given",
                "keep one of them",
            )
        if settings.cron is not None:
            try:
                CronTrigger.from_crontab(settings.cron, timezone=UTC)
            except ValueError:
                self._wrong(
                    ("resync", "cron"),
                    f"resync.cron: {shown(settings.cron)} is not a line of cron",
                    "write minute, hour, day, month and weekday (UTC), such as '0 3 * * *'",
                )

    def _unplaced(self) -> Problem | None:
        settings = self._settings.leader_election
        is_given = "leader_election" in self._settings.model_fields_set
        if not (is_given and settings.enabled and settings.namespace is None):
            return None
        return self._document.problem(
            ("leaderElection",),
            "leaderElection: there is no namespace for the Lease, for this is no pod",
            "write `namespace: NAMESPACE` there, or `enabled: false`",
            key=True,
        )

    def _wrong(self, path: Where, message: str, remedy: str) -> None:
        self._problems.append(self._document.problem(path, message, remedy))


CANARY_CHECK = HealthCheck(TcpProbe(), interval=2.0, timeout=1.0, rise=sys.maxsize)
"""Nothing rises or falls here: `rise` has every answer of a canary be news."""


def _preservation(settings: PreservationSettings) -> Preservation:
    canaries = tuple(Target(address, port, CANARY_CHECK) for address, port in settings.canary)
    return Preservation(settings.enabled, canaries, settings.max_hold)


def _limits(settings: ApiServerSettings) -> ApiLimits:
    return ApiLimits(settings.requests_per_second, settings.burst, settings.concurrency)


def _given(ranges: Iterable[Network]) -> ClusterRanges:
    return ClusterRanges(tuple(ClusterRange(one, RangeKind.GIVEN) for one in ranges))


def _election(settings: LeaderElectionSettings) -> LeaderElection | None:
    if not settings.enabled:
        return None
    return LeaderElection(
        settings.namespace,
        settings.name,
        settings.lease_duration,
        settings.renew_deadline,
        settings.retry_period,
        settings.warm_standby,
    )

"""The shape of the configuration file, as pydantic models: keys, types, ranges, defaults.

What a source's options and queries look like its plugin says; here they are left as they are.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, JsonValue, Strict, StrictBool, WithJsonSchema

from registrar.health import HealthSettings
from registrar.model import ApiLimits, Confirm, LeaderElection, Preservation, ServiceKey
from registrar.settings import (
    DNS_LABEL,
    Duration,
    HostName,
    IPNetwork,
    IPPort,
    Listen,
    PortNumber,
    Settings,
    Text,
    wrong,
)


def _service_key(value: object) -> ServiceKey:
    namespace, _, name = value.partition("/") if isinstance(value, str) else ("", "", "")
    if DNS_LABEL.fullmatch(namespace) and DNS_LABEL.fullmatch(name):
        return ServiceKey(namespace, name)
    raise wrong("not a Service", "write NAMESPACE/NAME, such as shop/mysql")


def _as_list(value: object) -> object:
    return value if isinstance(value, list) else [value]


Key = Annotated[
    ServiceKey,
    BeforeValidator(_service_key),
    WithJsonSchema({"type": "string", "pattern": f"^{DNS_LABEL.pattern}/{DNS_LABEL.pattern}$"}),
]


def _share(value: object) -> float:
    match = re.fullmatch(r"([0-9]{1,3})%", value) if isinstance(value, str) else None
    if match and int(match[1]) <= 100:
        return int(match[1]) / 100
    raise wrong("not a share", "write a percentage, such as 30%")


Share = Annotated[
    float, BeforeValidator(_share), WithJsonSchema({"type": "string", "pattern": "^[0-9]{1,3}%$"})
]
BackendCount = Annotated[int, Strict(), Field(ge=1, le=50_000)]
"""How many backends a Service may have before they are taken for a mistake."""

PluginSettings = dict[str, JsonValue]

OPTIONS_OF_PLUGINS = "options of the source's type"
QUERY_OF_PLUGINS = "query of the source's type"
"""Comments that mark in the schema where the plugins' own schemas belong (see schema.py)."""

SourceEntry = Annotated[PluginSettings, WithJsonSchema({"$comment": OPTIONS_OF_PLUGINS})]
Queries = Annotated[
    tuple[PluginSettings, ...],
    BeforeValidator(_as_list),
    Field(min_length=1),
    WithJsonSchema(
        {
            "anyOf": [
                {"$comment": QUERY_OF_PLUGINS},
                {"type": "array", "minItems": 1, "items": {"$comment": QUERY_OF_PLUGINS}},
            ]
        }
    ),
]


class ConfirmSettings(Settings):
    """What it takes to believe that much has gone: so many answers without it, over so long."""

    answers: Annotated[int, Strict(), Field(ge=1, le=100)] = Confirm().answers
    seconds: Duration = Field(Confirm().seconds, alias="for")


class PortSettings(Settings):
    """Where the backends of one port of a Service come from."""

    queries: Queries = Field(alias="from")
    port: PortNumber | None = None
    health: HealthSettings = HealthSettings()


class NewPortSettings(Settings):
    """One port of a Service that is to be made; `port` is where the cluster listens."""

    port: PortNumber
    protocol: Literal["TCP", "UDP", "SCTP"] = "TCP"
    target_port: PortNumber | None = None
    app_protocol: Text | None = None


class CreateSettings(Settings):
    """The Service to make where there is none: its ports by name, or its only `port`."""

    port: PortNumber | None = None
    ports: Annotated[dict[HostName, NewPortSettings], Field(min_length=1)] | None = None
    headless: StrictBool = False


class ServiceSettings(Settings):
    """The mapping of one Service: `from` for its only port, or `ports` by the ports' names."""

    service: Key
    queries: Queries | None = Field(None, alias="from")
    port: PortNumber | None = None
    health: HealthSettings = HealthSettings()
    ports: Annotated[dict[HostName, PortSettings], Field(min_length=1)] | None = None
    publish: Literal["both", "endpoints", "endpointslices"] = "both"
    adopt: StrictBool = False
    create: CreateSettings | None = None
    max_backends: BackendCount | None = None
    confirm: ConfirmSettings | Literal["none"] | None = None
    paused: StrictBool = False
    panic_threshold: Share | None = None


class NetworkSettings(Settings):
    """Which addresses may be published; `deny` wins over `allow`.

    `cluster`: the cluster's node, pod and Service ranges, where they can't be read from its API.
    """

    allow: tuple[IPNetwork, ...] = ()
    deny: tuple[IPNetwork, ...] = ()
    cluster: tuple[IPNetwork, ...] = ()


class PreservationSettings(Settings):
    """When to take the silence of many backends for a fault of our own."""

    enabled: StrictBool = True
    canary: tuple[IPPort, ...] = ()
    max_hold: Duration = Preservation().max_hold


class ApiServerSettings(Settings):
    """How much is asked of the API server at most: requests, and looks at Services at a time."""

    requests_per_second: Annotated[int, Strict(), Field(ge=1, le=10_000)] = (
        ApiLimits().requests_per_second
    )
    burst: Annotated[int, Strict(), Field(ge=1, le=100_000)] = ApiLimits().burst
    concurrency: Annotated[int, Strict(), Field(ge=1, le=256)] = ApiLimits().concurrency


class LeaderElectionSettings(Settings):
    """How one of several replicas is elected to write, by a Lease of Kubernetes."""

    enabled: StrictBool = True
    namespace: HostName | None = None
    name: HostName | None = None
    lease_duration: Duration = LeaderElection().lease_duration
    renew_deadline: Duration = LeaderElection().renew_deadline
    retry_period: Duration = LeaderElection().retry_period
    warm_standby: StrictBool = True


class AdminSettings(Settings):
    """Where people and programs ask: over HTTP, and through a unix socket.

    `hosts`: names by which they may come, beside addresses and the cluster's own names.
    """

    listen: Listen | None = None
    hosts: tuple[Text, ...] = ()
    token_file: Text | None = None
    socket: Text | None = None


class ResyncSettings(Settings):
    """When to look at everything again, by itself: every so often, or as cron says."""

    every: Duration | None = None
    cron: Text | None = None


class DefaultSettings(Settings):
    """What holds where a mapping says nothing."""

    health: HealthSettings = HealthSettings()
    max_backends: BackendCount = 5_000


class ConfigSettings(Settings):
    """The whole file."""

    instance: HostName = "default"
    networks: NetworkSettings = NetworkSettings()
    self_preservation: PreservationSettings = PreservationSettings()
    sources: dict[HostName, SourceEntry] = Field(default_factory=dict)
    defaults: DefaultSettings = DefaultSettings()
    services: tuple[ServiceSettings, ...]
    api_server: ApiServerSettings = ApiServerSettings()
    leader_election: LeaderElectionSettings = LeaderElectionSettings()
    admin: AdminSettings = AdminSettings()
    resync: ResyncSettings = ResyncSettings()
    accept_removed: Text | None = None


class SourceType(Settings):
    """The key of a source's entry that says which plugin it is for."""

    type: Text


class SourceName(Settings):
    """The key of a query that says which source it is for."""

    source: Text

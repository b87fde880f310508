"""What registrar knows and does, as one value: for the status command, the page, and programs.

Field names are camelCase in JSON. Ages are seconds before `takenAt`; None where it never was.
"""

from __future__ import annotations

import msgspec


class StatusStruct(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The base: camelCase, frozen."""


class TurnStatus(StatusStruct, frozen=True):
    """A verdict, how long ago it became that, and why."""

    verdict: str
    age: float
    reason: str


class BackendStatus(StatusStruct, frozen=True):
    """One backend of one port of a Service.

    `published` is ready, not-ready, draining or no; `verdict` up, down, unknown or unchecked.
    `drained`: a person has taken it out.
    """

    port_name: str
    protocol: str
    address: str
    port: int
    published: str
    verdict: str
    reason: str
    turns: tuple[TurnStatus, ...]
    drained: bool = False


class HoldStatus(StatusStruct, frozen=True):
    """Why something may not change: `reason` is one of docs/operations.md."""

    reason: str
    detail: str


class ServiceStatus(StatusStruct, frozen=True):
    """One mapped Service.

    `state` is in-place, changing or held; `changed` is the age of the last write of this process.
    """

    namespace: str
    name: str
    state: str
    ready: int
    endpoints: int
    publish: str
    sources: tuple[str, ...]
    holds: tuple[HoldStatus, ...]
    notices: tuple[str, ...]
    dropped: tuple[str, ...]
    backends: tuple[BackendStatus, ...]
    changed: float | None
    written: int


class PartStatus(StatusStruct, frozen=True):
    """One part of what a source is asked: the age of its last good answer, and what is wrong."""

    name: str
    answered: float | None
    backends: int
    error: str | None


class SourceStatus(StatusStruct, frozen=True):
    """One source, and the parts of all that it is asked. `error`: its parts are not known."""

    name: str
    parts: tuple[PartStatus, ...]
    error: str | None


class Status(StatusStruct, frozen=True):
    """Everything. `leader` is empty where nobody is elected, or nobody leads."""

    version: str
    instance: str
    taken_at: str
    leads: bool
    leader: str
    self_preservation: bool
    services: tuple[ServiceStatus, ...]
    sources: tuple[SourceStatus, ...]


class ServiceRow(StatusStruct, frozen=True):
    """A Service in the light list of all. `changed_at` is in the seconds of the list's `clock`."""

    namespace: str
    name: str
    state: str
    ready: int
    endpoints: int
    sources: tuple[str, ...]
    holds: tuple[str, ...]
    changed_at: float | None


class ServiceRows(StatusStruct, frozen=True):
    """The light list. `revision` is another whenever a row is, and at no other time.

    `services` are ServiceRows, written as JSON once for all who ask.
    """

    revision: str
    clock: float
    services: msgspec.Raw


class SourceRow(StatusStruct, frozen=True):
    """A source in short: `answered` is the age of the oldest of its parts' last good answers.

    `failing` counts the parts that do not know now, `silent` those that have never answered.
    """

    name: str
    parts: int
    failing: int
    silent: int
    backends: int
    answered: float | None
    error: str | None


class Summary(StatusStruct, frozen=True):
    """What is cheap to ask for often. `states` counts Services, `revision` is that of the rows."""

    version: str
    instance: str
    taken_at: str
    leads: bool
    leader: str
    self_preservation: bool
    states: dict[str, int]
    revision: str
    sources: tuple[SourceRow, ...]

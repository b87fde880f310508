"""All that a source plugin must know: the Source it extends, and the Context it is given.

A source finds backends and does nothing else: deadlines, retries, intervals, last good answers,
logging and metrics belong to registrar. docs/sources/ shows how to write one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Generic, TypeVar

from registrar.backoff import retry_after
from registrar.context import Context, FileWatcher, InThread
from registrar.document import Document, document_of, read_document
from registrar.errors import SourceError
from registrar.fetch import MOST_BYTES, Fetched, HttpClient, fetch, opened
from registrar.file_reader import FileReader
from registrar.model import Answer, Confirm
from registrar.problems import read_settings, shown
from registrar.records import raw_records, read_records, refuse_long
from registrar.settings import (
    Count,
    Duration,
    HostName,
    IPAddress,
    PortNumber,
    Settings,
    Text,
    Url,
    wrong,
)
from registrar.tls import Tls, TlsReader
from registrar.tokens import read_secret
from registrar.yaml_values import Value

__all__ = [
    "MOST_BYTES",
    "Confirm",
    "Context",
    "Count",
    "Document",
    "Duration",
    "Fetched",
    "FileReader",
    "FileWatcher",
    "HostName",
    "HttpClient",
    "IPAddress",
    "InThread",
    "Options",
    "Part",
    "PortNumber",
    "Query",
    "Settings",
    "Source",
    "SourceError",
    "Text",
    "Tls",
    "TlsReader",
    "Url",
    "Value",
    "document_of",
    "fetch",
    "opened",
    "raw_records",
    "read_document",
    "read_records",
    "read_secret",
    "read_settings",
    "refuse_long",
    "retry_after",
    "shown",
    "wrong",
]


class Options(Settings):
    """What is set once per source. A plugin's own options extend this.

    `interval`: how often each part is asked; for a part that is watched, the poll beneath.
    `timeout`: how long one question may take before it counts as not knowing.
    """

    interval: Duration = 30.0
    timeout: Duration = 10.0


class Query(Settings):
    """What one mapping asks of a source. A plugin's own query extends this."""


OptionsT = TypeVar("OptionsT", bound=Options)
QueryT = TypeVar("QueryT", bound=Query)


@dataclass(frozen=True, slots=True)
class Part(Generic[QueryT]):
    """The piece of a query that can fail on its own: one host, one file, one name."""

    query: QueryT
    name: str


class Source(ABC, Generic[OptionsT, QueryT]):
    """A place where backends are listed. A plugin sets the two classes and writes `discover`.

    Raise SourceError for not knowing. An answer is complete or it is an error, never partial;
    one without backends says that there are none.
    """

    options_class: ClassVar[type[Options]]
    query_class: ClassVar[type[Query]]
    confirm: ClassVar[Confirm | None] = Confirm()
    """What it takes to believe that much has gone; None where the first answer is meant so."""
    tells_health: ClassVar[bool] = False
    """Whether its backends come with a `health`, so that a mapping may go by that."""

    def __init__(self, options: OptionsT, context: Context) -> None:
        self.options = options
        self.context = context

    def parts(self, query: QueryT) -> Sequence[Part[QueryT]] | None:
        """Return the parts of a query, each of which is asked on its own. Default: one.

        None where it takes asking to know them: then `split` is asked.
        """
        return (Part(query, "all"),)

    async def split(self, query: QueryT) -> Sequence[Part[QueryT]]:
        """Ask for the parts of a query. Raise SourceError where they are not known in full."""
        return self.parts(query) or ()

    @abstractmethod
    async def discover(self, part: Part[QueryT]) -> Answer:
        """Ask for one part. Raise SourceError where the answer is not known in full."""

    def watch(self, part: Part[QueryT]) -> AsyncGenerator[Answer | SourceError] | None:
        """Yield the present answer, then every later one, as soon as it is known.

        An error is yielded, not raised, where watching goes on after it. Default: None, which
        says that this source can only be polled.
        """
        del part
        return None

    def listen(self, part: Part[QueryT], changed: Callable[[], None]) -> Callable[[], None] | None:
        """Have `changed` called whenever the answer may be another; return what ends that.

        It is asked again then. Cheaper than `watch` where a hint is all that there is. Default:
        None, which says that nothing hints at changes.
        """
        del part, changed
        return None

    def listen_split(self, query: QueryT, changed: Callable[[], None]) -> Callable[[], None] | None:
        """Have `changed` called whenever the parts may be others; as `listen`."""
        del query, changed
        return None

    async def warnings(self, query: QueryT) -> Sequence[str]:
        """Return what `registrar validate` should warn of. Must ask nothing over a network."""
        del query
        return ()

    async def aclose(self) -> None:
        """Let go of everything. Called once, after the last question."""
        return

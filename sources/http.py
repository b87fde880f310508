"""Backends that an HTTP server lists, in the format of Prometheus' HTTP service discovery.

Anything but a whole list with status 200, or "as before" with 304, is not knowing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Annotated, Any

import httpx
from pydantic import ConfigDict, Field

from registrar.errors import ConfigError, SourceError
from registrar.model import Answer, Backend, Dropped
from registrar.source import (
    Context,
    HttpClient,
    Options,
    Part,
    Query,
    Settings,
    Source,
    Text,
    Tls,
    Url,
    Value,
    document_of,
    fetch,
    read_records,
    read_secret,
    read_settings,
    refuse_long,
    shown,
)


class HttpOptions(Options):
    """Which URLs are asked, each a part of its own, and how.

    `tokenFile` holds a bearer token. `zoneLabel` names the label that tells a target's zone.
    """

    urls: Annotated[tuple[Url, ...], Field(min_length=1)]
    token_file: Text | None = None
    tls: Tls = Tls()
    zone_label: Text | None = None


class HttpQuery(Query):
    """The targets of the groups that have all these labels; without any, all targets."""

    labels: Mapping[str, Text] = {}

    def __hash__(self) -> int:
        return hash(frozenset(self.labels.items()))


class _TargetGroup(Settings):
    # As Prometheus reads it: keys that it doesn't know may be there.
    model_config = ConfigDict(extra="ignore")

    targets: tuple[Any, ...]
    labels: Mapping[str, Annotated[str, Field(strict=True)]] = {}


@dataclass(frozen=True, slots=True)
class _Group:
    labels: Mapping[str, str]
    answer: Answer


@dataclass(frozen=True, slots=True)
class _Listed:
    """What a URL answered last, and what to say when asking whether it is still so."""

    groups: tuple[_Group, ...]
    conditions: Mapping[str, str]


class HttpSource(Source[HttpOptions, HttpQuery]):
    """Asks each URL for its whole list, or whether the last one still holds."""

    options_class = HttpOptions
    query_class = HttpQuery

    def __init__(self, options: HttpOptions, context: Context) -> None:
        super().__init__(options, context)
        self._http = HttpClient(context, options.tls)
        self._last: dict[str, _Listed] = {}

    def parts(self, query: HttpQuery) -> Sequence[Part[HttpQuery]]:
        """Return a part for each URL."""
        return tuple(Part(query, url) for url in dict.fromkeys(self.options.urls))

    async def discover(self, part: Part[HttpQuery]) -> Answer:
        """Return what one URL lists for the query."""
        groups = await self._ask(part.name)
        zone_label, wanted = self.options.zone_label, part.query.labels.items()
        backends: list[Backend] = []
        dropped: list[Dropped] = []
        for group in groups:
            if wanted <= group.labels.items():
                zone = group.labels.get(zone_label) if zone_label else None
                backends += (replace(one, zone=zone or None) for one in group.answer.backends)
                dropped += group.answer.dropped
        return Answer(tuple(backends), tuple(dropped))

    async def warnings(self, query: HttpQuery) -> Sequence[str]:
        """Return what is wrong with the files, or with where a token goes."""
        del query
        found: list[str] = []
        try:
            await self._headers()
            async with self._http.lent():
                pass
        except SourceError as error:
            found.append(str(error))
        if self.options.token_file is not None:
            found += [
                f"{url}: the token is sent unencrypted; use https"
                for url in self.options.urls
                if url.startswith("http:")
            ]
        return found

    async def _ask(self, url: str) -> Sequence[_Group]:
        last = self._last.get(url)
        headers = {**await self._headers(), **(last.conditions if last else {})}
        async with self._http.lent() as client:
            accept = (httpx.codes.OK, httpx.codes.NOT_MODIFIED) if last else (httpx.codes.OK,)
            found = await fetch(client, url, headers=headers, accept=accept)
        if last is not None and found.status == httpx.codes.NOT_MODIFIED:
            return last.groups
        try:
            groups = await self.context.in_thread(partial(_read, found.body))
        except ConfigError as error:
            raise SourceError(f"{url}: {error.problems[0]}") from None
        except SourceError as error:
            raise SourceError(f"{url}: {error}") from None
        self._last[url] = _Listed(groups, _conditions(found.headers))
        return groups

    async def _headers(self) -> dict[str, str]:
        headers = {"Accept": "application/json"}
        if self.options.token_file is not None:
            token = await read_secret(self.context, self.options.token_file)
            headers["Authorization"] = f"Bearer {token}"
        return headers


def _conditions(headers: httpx.Headers) -> dict[str, str]:
    """Return the headers that ask for an answer only if it is another (RFC 9110, section 13)."""
    etag = headers.get("ETag", "")
    if etag.isascii() and etag.isprintable() and etag:
        return {"If-None-Match": etag}
    try:
        changed = parsedate_to_datetime(headers["Last-Modified"])
        # It counts in seconds: within one, a second change would never be told.
        is_safe = parsedate_to_datetime(headers["Date"]) - changed > timedelta(seconds=1)
        if is_safe and headers["Last-Modified"].isascii():
            return {"If-Modified-Since": headers["Last-Modified"]}
    except (KeyError, ValueError, TypeError, OverflowError):
        pass
    return {}


# --- what is in an answer ------------------------------------------------------------------------


def _read(body: bytes) -> tuple[_Group, ...]:
    """Return the groups of an answer. Raise ConfigError if it is not whole and well-formed."""
    refuse_long(body)
    try:
        value: Value = json.loads(body, object_pairs_hook=_mapping)
    except (ValueError, RecursionError):
        raise _problem("not JSON", _REMEDY) from None
    if not isinstance(value, list):
        raise _problem(f"{shown(value)} is not a list", _REMEDY)
    return tuple(_group(value, index, item) for index, item in enumerate(value))


_REMEDY = 'it must answer as Prometheus\' HTTP SD does: [{"targets": ["ADDRESS:PORT"], ...}]'


def _mapping(pairs: list[tuple[str, Value]]) -> dict[str, Value]:
    made = dict(pairs)
    if len(made) < len(pairs):
        raise _problem("a key stands twice", "keep one of them")
    return made


def _group(whole: Value, index: int, value: Value) -> _Group:
    document = document_of(whole, "the list")
    group = read_settings(_TargetGroup, document, (index,), value)
    return _Group(group.labels, read_records(document, (index, "targets"), group.targets))


def _problem(message: str, remedy: str) -> ConfigError:
    return ConfigError(document_of("", "the list").problem((), message, remedy))

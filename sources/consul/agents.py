"""Asks Consul's agents over HTTP, one after another until one answers, with py-consul.

It must never take for an answer what an agent doesn't know, or doesn't show.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NoReturn
from urllib.parse import urlsplit

import httpx
from consul import aio, base

from registrar.errors import SourceError
from registrar.source import HttpClient, fetch, retry_after

_EXPLAINED = (400, 403, 500)
"""Statuses whose body says in a line what is wrong."""

_MOST_WORDS = 200
_MOST_DIGITS = 20

Params = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Reply:
    """What an agent answered: its index, and a list of instances as JSON."""

    index: int
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: a service, and what narrows it down; `more` is what py-consul can't say."""

    service: str
    tags: tuple[str, ...]
    datacenter: str | None
    filter: str | None
    more: Params


class Agents:
    """Agents of one datacenter, any of which may be asked; the last that answered comes first."""

    def __init__(self, urls: Sequence[str], http: HttpClient) -> None:
        self._urls = list(urls)
        self._http = http
        self._known: dict[tuple[str, Params], _Agent] = {}

    async def ask(self, question: Question, token: str | None, within: float) -> tuple[str, Reply]:
        """Return the first reply, and whose it is. Raise SourceError if there is none."""
        errors: list[SourceError] = []
        share = within / len(self._urls)
        for url in tuple(self._urls):
            try:
                reply = await self.ask_one(url, question, token, share)
            except SourceError as error:
                errors.append(error)
            else:
                self._urls.sort(key=lambda known: known != url)  # it comes first, the rest as it is
                return url, reply
        waits = [error.retry_after for error in errors]
        known = [wait for wait in waits if wait is not None]
        patience = min(known) if len(known) == len(waits) else None
        raise SourceError("; ".join(map(str, errors)), retry_after=patience)

    async def ask_one(
        self,
        url: str,
        question: Question,
        token: str | None,
        within: float,
        *,
        index: int = 0,
        wait: float = 0.0,
    ) -> Reply:
        """Return the reply of one agent, which with `index` comes once there is a newer one.

        Raise SourceError if it is none, or, without `index`, one that may not be the whole.
        """
        # To make one takes as long as to ask it.
        agent = self._known.get((url, question.more))
        if agent is None:
            agent = self._known[url, question.more] = _Agent(url, self._http, question.more)
        try:
            async with asyncio.timeout(within):
                response = await agent.health.service(
                    question.service,
                    index=index,
                    wait=f"{wait * 1000:.0f}ms",
                    tag=list(question.tags),
                    dc=question.datacenter,
                    filter_expr=question.filter,
                    token=token,
                )
        except TimeoutError:
            raise SourceError(f"{url}: no answer within {within:.3g} s") from None
        reply = _read(url, response, token)
        if not index:  # else it may come of the agent's own view, where no header tells anything
            _raise_unless_whole(url, response, token)
        return reply


def _read(url: str, response: base.Response, token: str | None) -> Reply:
    headers, body = response.headers, response.body
    if response.code != httpx.codes.OK:
        words = _words(body, token)
        raise SourceError(
            f"{url}: status {response.code}: {words}", retry_after=retry_after(headers)
        )
    index = headers.get("X-Consul-Index", "")
    if not (index.isascii() and index.isdigit() and len(index) <= _MOST_DIGITS):
        raise SourceError(f"{url}: the answer has no X-Consul-Index; is this a Consul agent?")
    return Reply(int(index), body)


def _raise_unless_whole(url: str, response: base.Response, token: str | None) -> None:
    headers = response.headers
    if headers.get("X-Consul-KnownLeader") == "false":
        raise SourceError(f"{url}: the servers have no leader, so nothing is known")
    if headers.get("X-Consul-Results-Filtered-By-ACLs") == "true":
        raise SourceError(
            f"{url}: ACLs hide a part of the answer; give the token service:read and node:read"
        )
    # Without a token nobody is told that something was hidden.
    is_empty = response.body.strip() == b"[]"
    if token is None and is_empty and headers.get("X-Consul-Default-Acl-Policy") == "deny":
        raise SourceError(
            f"{url}: an empty answer says nothing where ACLs deny by default; give a tokenFile"
        )


def _words(body: bytes, token: str | None) -> str:
    text = " ".join(body[:4096].decode(errors="replace").split())
    if token is not None:
        text = text.replace(token, "…")  # whoever it was sent to may say it back
    text = "".join(letter if letter.isprintable() else "?" for letter in text)
    return text if len(text) <= _MOST_WORDS else f"{text[:_MOST_WORDS]}…"


class _Agent(aio.Consul):  # type: ignore[misc]  # it carries no types
    """py-consul's client of one agent, with a transport of registrar's."""

    def __init__(self, url: str, http: HttpClient, more: Params) -> None:
        self._transport = _Transport(url, http, more)
        parts = urlsplit(url)
        # What isn't given here it would take from the environment; so it does with the token.
        super().__init__(parts.hostname, parts.port or 0, scheme=parts.scheme, verify=True)
        self.token = None

    def http_connect(self, *_: object, **__: object) -> _Transport:
        """Return what asks. Called by py-consul."""
        return self._transport


class _Transport(base.HTTPClient):  # type: ignore[misc]  # it carries no types
    """Asks by registrar's own client: capped, without redirects. Nothing but GET is ever sent.

    Whole responses are returned: py-consul's callbacks drop the headers that say what an answer
    is worth, and put bodies into errors.
    """

    def __init__(self, url: str, http: HttpClient, more: Params) -> None:
        super().__init__()
        self.base_uri = url.rstrip("/")
        self._http = http
        self._more = more

    async def get(
        self,
        callback: object,
        path: str,
        params: Params | None = None,
        headers: dict[str, str] | None = None,
        **_: object,
    ) -> base.Response:
        """Return the response to a GET."""
        del callback
        url = self.uri(path, [*(params or ()), *self._more])
        async with self._http.lent() as client:
            found = await fetch(client, url, headers=headers, accept=(200, *_EXPLAINED))
        return base.Response(found.status, found.headers, found.body)

    def put(self, *_: object, **__: object) -> NoReturn:
        """Refuse: nothing of Consul's is ever changed."""
        raise NotImplementedError

    post = delete = put

    def close(self) -> None:
        """Close nothing: each question has connections of its own."""

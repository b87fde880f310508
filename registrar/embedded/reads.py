"""Lists, in pages that are consistent, and what a watch is to say.

It must never show a list in which one object is older than another.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from registrar.embedded.request import Target, is_true
from registrar.embedded.selectors import Selector, parse
from registrar.embedded.status import (
    StatusError,
    bad_request,
    expired,
    expired_continue,
    forbidden_field,
    invalid_object,
)
from registrar.embedded.store import Place, Store
from registrar.embedded.values import Object, encode, is_number


@dataclass(frozen=True)
class Page:
    """A part of a list, and the metadata of the list."""

    items: list[Object]
    metadata: Object


class _Token(msgspec.Struct):
    v: str
    rv: int
    start: list[str]


def list_page(store: Store, target: Target, query: Mapping[str, str]) -> Page:
    """Return the page that a query asks for. Raise StatusError: 400, 410 or 504."""
    selector = selector_of(target, query)
    limit = number(query, "limit")
    version, after = _start(store, query)
    plural = target.resource.plural
    if version == store.version:
        found = store.all(plural, target.namespace)
    else:
        found = store.all_at(plural, target.namespace, version)
    rest = [(place, item) for place, item in found if place > after and selector.matches(item)]
    page = rest[:limit] if limit > 0 else rest
    meta: Object = {"resourceVersion": str(version)}
    if len(page) < len(rest):
        meta["continue"] = _token(version, page[-1][0])
        if selector.is_empty:
            meta["remainingItemCount"] = len(rest) - len(page)
    return Page([item for _, item in page], meta)


def selector_of(target: Target, query: Mapping[str, str]) -> Selector:
    """Return the selector of a query."""
    labels, fields = query.get("labelSelector", ""), query.get("fieldSelector", "")
    return parse(target.resource, labels, fields)


def number(query: Mapping[str, str], key: str) -> int:
    """Return a query's number, 0 if it says none. Raise StatusError, 400, for what is none."""
    text = query.get(key, "") or "0"
    if not is_number(text.removeprefix("-").removeprefix("+")):
        raise bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax')
    return int(text)


@dataclass(frozen=True)
class WatchStart:
    """Where a watch begins."""

    version: int
    initial: bool
    initial_end: bool


def watch_start(store: Store, query: Mapping[str, str]) -> WatchStart:
    """Return where a watch begins.

    Raise StatusError: 422 or 500 for what can't be read, 410 for a version that is too old.
    """
    bookmarks = is_true(query, "allowWatchBookmarks")
    text = query.get("resourceVersion", "")
    if text and not is_number(text):
        raise StatusError(500, "", _unreadable(text))
    if "sendInitialEvents" in query:
        if query.get("resourceVersionMatch") != "NotOlderThan":
            words = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
            problem = forbidden_field("resourceVersionMatch", words)
            raise invalid_object("ListOptions", "meta.k8s.io", "", [problem])
        if is_true(query, "sendInitialEvents"):
            return WatchStart(store.version, initial=True, initial_end=bookmarks)
    version = int(text or "0")
    if version == 0:
        return WatchStart(store.version, initial=True, initial_end=False)
    return WatchStart(version, initial=False, initial_end=False)


def check_not_too_old(store: Store, start: WatchStart) -> None:
    """Raise StatusError, 410, if a watch can't begin there any more."""
    if not start.initial and start.version < store.compacted:
        raise expired(f"too old resource version: {start.version} ({store.compacted})")


def _start(store: Store, query: Mapping[str, str]) -> tuple[int, Place]:
    text = query.get("resourceVersion", "")
    if text and not is_number(text):
        raise bad_request(f"invalid resource version: {_unreadable(text)}")
    wanted = int(text or "0")
    if token := query.get("continue", ""):
        if wanted:
            raise bad_request("specifying resource version is not allowed when using continue")
        return _continued(store, token)
    if wanted > store.version:
        raise _too_new(wanted, store.version)
    if query.get("resourceVersionMatch") == "Exact":
        if wanted < store.compacted:
            raise expired("The resourceVersion for the provided list is too old.")
        return wanted, ("", "")
    return store.version, ("", "")


def _token(version: int, last: Place) -> str:
    text = encode({"v": "meta.k8s.io/v1", "rv": version, "start": list(last)})
    return urlsafe_b64encode(text).decode().rstrip("=")


def _continued(store: Store, token: str) -> tuple[int, Place]:
    try:
        text = urlsafe_b64decode(token + "=" * (-len(token) % 4))
        read = msgspec.json.decode(text, type=_Token)
        namespace, name = read.start
    except ValueError:
        words = "continue key is not valid: it was not made by this server"
        raise bad_request(f"invalid continue token: {words}") from None
    if read.rv < 0:
        return store.version, (namespace, name)
    if read.rv < store.compacted:
        raise expired_continue(_token(-1, (namespace, name)))
    return read.rv, (namespace, name)


def _unreadable(text: str) -> str:
    why = f'strconv.ParseUint: parsing "{text}": invalid syntax'
    return f'resourceVersion: Invalid value: "{text}": {why}'


def _too_new(wanted: int, current: int) -> StatusError:
    words = "Too large resource version"
    details: Object = {
        "causes": [{"reason": "ResourceVersionTooLarge", "message": words}],
        "retryAfterSeconds": 1,
    }
    message = f"Timeout: {words}: {wanted}, current: {current}"
    return StatusError(504, "Timeout", message, details)

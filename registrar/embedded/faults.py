"""Faults that requests meet on demand: late, refused, unanswered, applied but never confirmed.

It must never touch what is stored: that is as it would be after the same request without a fault.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from registrar.embedded.request import Target
from registrar.embedded.status import StatusError, failure
from registrar.embedded.values import as_object


@dataclass(frozen=True)
class Delay:
    """The request is handled so much later."""

    seconds: float


@dataclass(frozen=True)
class Refuse:
    """The answer is a Status; nothing is done."""

    code: int
    retry_after: int | None = None
    message: str = ""


@dataclass(frozen=True)
class Silence:
    """There is never an answer. With `applied` the request is carried out nevertheless."""

    applied: bool = False


@dataclass(frozen=True)
class Break:
    """The connection breaks. With `applied` the request is carried out nevertheless."""

    applied: bool = False


@dataclass(frozen=True)
class Deaf:
    """Watches, also those that are open, say nothing while it lasts; afterwards they catch up."""


Fault: TypeAlias = Delay | Refuse | Silence | Break | Deaf


@dataclass(eq=False)
class Rule:
    """A fault, and the requests that meet it: those that have all that is given."""

    fault: Fault
    verb: str = ""
    resource: str = ""
    namespace: str = ""
    name: str = ""
    user_agent: str = ""
    """The beginning of it."""
    times: int | None = None
    """How many requests more; None is no limit."""
    hits: int = field(default=0, init=False)
    _ended: Callable[[Rule], None] = field(default=lambda _: None, repr=False)

    def matches(self, target: Target, agent: str) -> bool:
        """Say whether a request meets it."""
        asked = (target.verb, target.resource.plural, target.namespace, target.name)
        wanted = (self.verb, self.resource, self.namespace, self.name)
        same = all(want in {"", have} for want, have in zip(wanted, asked, strict=True))
        return same and agent.startswith(self.user_agent) and self.times != 0

    def end(self) -> None:
        """Let no further request meet it; deaf watches hear again."""
        self._ended(self)


class Faults:
    """The faults that are in force. `changed` is called when one has ended."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._rules: list[Rule] = []

    def add(
        self,
        fault: Fault,
        *,
        verb: str = "",
        resource: str = "",
        namespace: str = "",
        name: str = "",
        user_agent: str = "",
        times: int | None = None,
    ) -> Rule:
        """Put a fault in force for the requests that have all that is given.

        Verbs are get, list, watch, create, update, patch, delete and deletecollection; resources
        are plural names. Return the rule, which can be ended and counts its hits.
        """
        if isinstance(fault, Deaf):
            verb = "watch"
        rule = Rule(fault, verb, resource, namespace, name, user_agent, times, self._end)
        self._rules.append(rule)
        return rule

    def clear(self) -> None:
        """End all."""
        self._rules.clear()
        self._changed()

    def met_by(self, target: Target, agent: str) -> list[Fault]:
        """Return what a request meets, and count it."""
        met = [
            rule
            for rule in self._rules
            if not isinstance(rule.fault, Deaf) and rule.matches(target, agent)
        ]
        for rule in met:
            rule.hits += 1
            if rule.times is not None:
                rule.times -= 1
        return [rule.fault for rule in met]

    def are_deaf(self, target: Target, agent: str) -> bool:
        """Say whether a watch is deaf now."""
        return any(
            isinstance(rule.fault, Deaf) and rule.matches(target, agent) for rule in self._rules
        )

    def _end(self, rule: Rule) -> None:
        if rule in self._rules:
            self._rules.remove(rule)
            self._changed()


_REASONS = {
    400: ("BadRequest", "the server rejected the request"),
    401: ("Unauthorized", "Unauthorized"),
    404: ("NotFound", "the server could not find the requested resource"),
    409: (
        "Conflict",
        (
            'Operation cannot be fulfilled on {resource} "{name}": the object has been modified;'
            " please apply your changes to the latest version and try again"
        ),
    ),
    410: ("Expired", "The resourceVersion for the provided watch is too old."),
    429: ("TooManyRequests", "Too many requests, please try again later."),
    500: ("InternalError", "Internal error occurred: etcdserver: request timed out"),
    503: ("ServiceUnavailable", "the server is currently unable to handle the request"),
    504: ("Timeout", "Timeout: request did not complete within the allotted timeout"),
}


def refusal(fault: Refuse, target: Target) -> StatusError:
    """Return the Status of a refusal, worded as the real API server's unless it says how."""
    resource = target.resource
    if fault.code == 403:
        reason, words = "Forbidden", _no_right(target)
    else:
        reason, words = _REASONS.get(fault.code, ("", "the request failed"))
    message = fault.message or words.format(resource=resource.plural, name=target.name)
    error = failure(
        fault.code,
        reason,
        message,
        group=resource.group,
        kind=resource.plural,
        name=target.name,
    )
    if fault.retry_after is not None:
        as_object(error.status["details"])["retryAfterSeconds"] = fault.retry_after
    return error


def _no_right(target: Target) -> str:
    resource = target.resource
    full = f"{resource.plural}.{resource.group}" if resource.group else resource.plural
    which = f' "{target.name}"' if target.name else ""
    where = f' in the namespace "{target.namespace}"' if target.namespace else ""
    return (
        f'{full}{which} is forbidden: User "embedded" cannot {target.verb} resource'
        f' "{resource.plural}" in API group "{resource.group}"{where}'
    )

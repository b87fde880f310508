"""Keeps the verdict on every target that a Service wants judged, from the outcomes of its checks.

Between the engine, which knows nothing of Services, and the decisions, which do no I/O.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import structlog

from registrar.decide.health import HealthState, adopt, step
from registrar.model import Address, CheckResult, Outcome, ServiceKey, Target, Verdict

log = structlog.get_logger()


class Engine(Protocol):
    """Runs health checks and reports every outcome."""

    def add(self, target: Target) -> None:
        """Check a target from now on, the first time at once."""
        ...

    def remove(self, target: Target) -> None:
        """Stop checking a target."""
        ...


class Checks:
    """The verdicts. `changed` is called with each Service that a new verdict concerns."""

    def __init__(self, changed: Callable[[ServiceKey], None]) -> None:
        self._changed = changed
        self._engine: Engine | None = None
        self._states: dict[Target, HealthState] = {}
        self._owners: dict[Target, set[ServiceKey]] = {}
        self._wants: dict[ServiceKey, frozenset[Target]] = {}
        self._reasons: dict[Target, str] = {}
        self._not_run: set[Target] = set()

    def start(self, engine: Engine) -> None:
        """Have the targets checked by an engine that reports to `report`."""
        self._engine = engine
        for target in self._states:
            engine.add(target)

    def want(self, key: ServiceKey, wanted: Mapping[Target, bool | None]) -> None:
        """Say which targets a Service wants judged, and as what each is published.

        True and False are adopted as up and down, None (not published) starts as unknown.
        """
        before = self._wants.get(key, frozenset())
        for target in before - wanted.keys():
            self._owners[target].discard(key)
            if not self._owners[target]:
                self._forget(target)
        for target in wanted.keys() - before:
            if target not in self._states:
                ready = wanted[target]
                self._states[target] = HealthState() if ready is None else adopt(ready=ready)
                self._owners[target] = set()
                if self._engine is not None:
                    self._engine.add(target)
            self._owners[target].add(key)
        self._wants[key] = frozenset(wanted)

    def forget(self, key: ServiceKey) -> None:
        """Judge nothing for a Service any more."""
        self.want(key, {})
        del self._wants[key]

    def verdicts(self, key: ServiceKey) -> Mapping[Target, Verdict]:
        """Return the verdict on every target of a Service."""
        return {t: self._states[t].verdict for t in self._wants.get(key, ())}

    def reasons(self, key: ServiceKey) -> Mapping[tuple[Address, int], str]:
        """Return how the last check of each address and port of a Service ended, in words."""
        targets = self._wants.get(key, ())
        return {(t.address, t.port): self._reasons[t] for t in targets if t in self._reasons}

    def settled(self, key: ServiceKey) -> bool:
        """Whether this process has itself judged every target of a Service."""
        return all(self._states[target].settled for target in self._wants.get(key, ()))

    def report(self, target: Target, result: CheckResult) -> None:
        """Take the outcome of one check."""
        before = self._states.get(target)
        if before is None:  # it came while the target was being removed
            return
        self._note_run(target, result)
        self._reasons[target] = result.reason
        after = self._states[target] = step(before, result.outcome, target.check)
        if after.verdict is not before.verdict:
            log.info(
                "verdict",
                backend=f"{target.address} port {target.port}",
                verdict=after.verdict.value,
                before=before.verdict.value,
                reason=result.reason,
                services=sorted(str(key) for key in self._owners[target])[:10],
            )
        if after.verdict is not before.verdict or after.settled is not before.settled:
            for key in self._owners[target]:
                self._changed(key)

    def _note_run(self, target: Target, result: CheckResult) -> None:
        # Our own lack of descriptors, say, hits many at once: one line for all of them.
        if result.outcome is Outcome.UNKNOWN:
            if not self._not_run:
                backend = f"{target.address} port {target.port}"
                log.warning("checks-not-run", backend=backend, reason=result.reason)
            self._not_run.add(target)
        else:
            self._ran(target)

    def _ran(self, target: Target) -> None:
        if target in self._not_run:
            self._not_run.remove(target)
            if not self._not_run:
                log.info("checks-run-again")

    def _forget(self, target: Target) -> None:
        self._ran(target)
        del self._states[target]
        self._reasons.pop(target, None)
        del self._owners[target]
        if self._engine is not None:
            self._engine.remove(target)

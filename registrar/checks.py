"""Keeps the verdict on every target that a Service wants judged, from the outcomes of its checks.

Between the engine, which knows nothing of Services, and the decisions, which do no I/O.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import structlog

from registrar.clock import loop_time
from registrar.counts import Durations
from registrar.decide.health import HealthState, adopt, noted, revive, step
from registrar.decide.preservation import was_up
from registrar.engine import Engine
from registrar.judged import Judged, Judgement, Turn, Wanting
from registrar.metrics.catalogue import CHECK_S
from registrar.model import (
    Address,
    CheckResult,
    Outcome,
    Preservation,
    ServiceKey,
    Target,
    Verdict,
)
from registrar.not_run import NotRun
from registrar.preservation import SelfPreservation

log = structlog.get_logger()


class Checks:
    """The verdicts. `changed` is called with each Service that a new verdict concerns."""

    def __init__(
        self,
        changed: Callable[[ServiceKey], None],
        preservation: Preservation | None = None,
        clock: Callable[[], float] = loop_time,
    ) -> None:
        self._changed = changed
        self._clock = clock
        self._preservation = SelfPreservation(preservation or Preservation())
        self._engine: Engine | None = None
        self._judged: dict[Target, Judged] = {}
        self._wanting: dict[ServiceKey, Wanting] = {}
        self._not_run = NotRun()
        self._turned = dict.fromkeys(Verdict, 0)

    def start(self, engine: Engine) -> None:
        """Have the targets checked by an engine that reports to `report`."""
        self._engine = engine
        for wanting in self._wanting.values():
            for target in wanting.targets:
                engine.add(target, wanting.durations)
        for canary in self._preservation.canaries:
            engine.add(canary, ())

    def apply(self, preservation: Preservation) -> None:
        """Go over to other settings of self-preservation."""
        before = frozenset(self._preservation.canaries)
        self._preservation.apply(preservation)
        if self._engine is not None:
            after = frozenset(self._preservation.canaries)
            for target in before - after:
                self._engine.remove(target, ())
            for target in after - before:
                self._engine.add(target, ())

    def want(self, key: ServiceKey, wanted: Mapping[Target, bool | None]) -> None:
        """Say which targets a Service wants judged, and as what each is published.

        True and False are adopted as up and down, None (not published) starts as unknown.
        """
        wanting = self._wanting.get(key)
        if wanting is None:
            wanting = self._wanting[key] = Wanting(key)
        before = wanting.targets
        if len(before) == len(wanted) and all(target in wanted for target in before):
            return
        for target in before:
            if target not in wanted:
                self._drop(target, key, wanting)
        new = wanted.keys() - frozenset(before)
        first = self._as_published(wanted[target] for target in new)
        for target in wanted:
            if target in new:
                self._take(target, wanting, first[wanted[target]])
        wanting.targets = tuple(wanted)

    def forget(self, key: ServiceKey) -> None:
        """Judge nothing for a Service any more."""
        self.want(key, {})
        del self._wanting[key]

    def verdicts(self, key: ServiceKey) -> Mapping[Target, Verdict]:
        """Return the verdict on every target of a Service."""
        return {target: one.state.verdict for target, one in self._of(key)}

    def tally(self, key: ServiceKey) -> list[Verdict]:
        """Return the verdicts alone, one for each target of a Service."""
        return [one.state.verdict for _, one in self._of(key)]

    def reasons(self, key: ServiceKey) -> Mapping[tuple[Address, int], str]:
        """Return how the last check of each address and port of a Service ended, in words."""
        return {(t.address, t.port): j.reason for t, j in self._of(key) if j.reason is not None}

    async def renew(self, keys: Iterable[ServiceKey]) -> None:
        """Check every target of some Services once more; return once all have been judged."""
        targets = {target for key in keys for target, _ in self._of(key)}
        if self._engine is not None:
            await self._engine.renew(targets)

    def judgements(self, key: ServiceKey) -> Mapping[tuple[Address, int], Judgement]:
        """Return what is known of each address and port of a Service, and since when."""
        return {
            (t.address, t.port): Judgement(one.state.verdict, one.reason or "", one.turns)
            for t, one in self._of(key)
        }

    @property
    def turned(self) -> Mapping[Verdict, int]:
        """How often a verdict became each of the three."""
        return self._turned

    def durations(self, key: ServiceKey) -> Durations:
        """Return how long the checks of a Service have taken that got an answer of any kind."""
        wanting = self._wanting.get(key)
        return Durations(CHECK_S.buckets) if wanting is None else wanting.durations[0]

    @property
    def engine(self) -> Engine | None:
        """What runs the checks; None before the start."""
        return self._engine

    @property
    def targets(self) -> int:
        """How many targets are judged."""
        return len(self._judged)

    @property
    def not_run(self) -> int:
        """How many targets' last check could not be run."""
        return len(self._not_run)

    def settled(self, key: ServiceKey) -> bool:
        """Whether this process has itself judged every target of a Service."""
        return all(one.state.settled for _, one in self._of(key))

    def report(self, target: Target, result: CheckResult) -> bool:
        """Take the outcome of one check.

        Return whether it is a silence that changes nothing however often it comes again.
        """
        now = self._clock()
        if target in self._preservation.canaries:
            self._preservation.hear(target, result.outcome)
            self._preservation.forget(target)  # it speaks for others, not for itself
            if result.outcome in {Outcome.PASSED, Outcome.FAILED}:  # whoever refuses was reached
                for silent, silence in self._preservation.vouched(now).items():
                    self._judge(silent, silence, now, vouched=True)
        if target not in self._judged:  # it came while the target was being removed
            return False
        self._judge(target, result, now)
        return self._is_settled(target, result.outcome, now)

    def _is_settled(self, target: Target, outcome: Outcome, now: float) -> bool:
        """Whether silence has taken a target down for good: a census counts it no more."""
        if outcome is not Outcome.SILENT or self._preservation.is_raised:
            return False
        if target in self._preservation.canaries:
            return False
        state = self._judged[target].state
        return state.verdict is Verdict.DOWN and not was_up(state, self._preservation.window, now)

    def _judge(
        self, target: Target, result: CheckResult, now: float, *, vouched: bool = False
    ) -> None:
        judged = self._judged[target]
        before = judged.state
        self._preservation.forget(target)
        self._not_run.note(target, result)
        judged.reason = result.reason
        doubted = self._is_doubted(target, judged, result, now, vouched=vouched)
        last = judged.state
        after = judged.state = step(last, result.outcome, target.check, now, doubted=doubted)
        if after.verdict is not last.verdict:
            judged.turn(Turn(now, after.verdict, result.reason))
            self._turned[after.verdict] += 1
            log.info(
                "verdict",
                backend=f"{target.address} port {target.port}",
                verdict=after.verdict.value,
                before=last.verdict.value,
                reason=result.reason,
                services=sorted(str(key) for key in judged.owners)[:10],
            )
        is_told_of = doubted and after.silent is not before.silent
        if after.verdict is not last.verdict or after.settled is not last.settled or is_told_of:
            for key in judged.owners:
                self._changed(key)

    def _is_doubted(
        self,
        target: Target,
        judged: Judged,
        result: CheckResult,
        now: float,
        *,
        vouched: bool,
    ) -> bool:
        """Whether silence is doubted now, of which this outcome may be the one that decides."""
        before, outcome = judged.state, result.outcome
        if outcome is Outcome.SILENT and not self._preservation.is_raised:
            if self._preservation.is_of_before(target.check.timeout, now):
                return True
            # Noted first: whether others are silent too is to be known before it counts.
            judged.state = noted(before)
            falls = step(before, outcome, target.check, now).verdict is not before.verdict
            if self._look(now, urgent=falls):
                return True
            if not falls or vouched or before.verdict is not Verdict.UP:
                return False
            has_to_vouch = self._preservation.has_to_vouch(target, result, now)
            if has_to_vouch and self._engine is not None:
                self._engine.recheck(self._preservation.canaries)
            return has_to_vouch
        return self._preservation.is_raised and self._look(now, urgent=False)

    @property
    def is_doubting(self) -> bool:
        """Whether silence is taken for a fault of our own now."""
        return self._preservation.is_raised

    def doubted(self, key: ServiceKey) -> frozenset[Target]:
        """Return the targets of a Service whose silence is not believed now."""
        if not self._preservation.is_raised:
            return frozenset()
        return frozenset(target for target, one in self._of(key) if one.state.silent)

    def _look(self, now: float, *, urgent: bool) -> bool:
        """Return whether silence is doubted, after a look at everything."""
        if self._preservation.look(self._judged, now, urgent=urgent):
            if self._engine is not None:
                self._engine.tell_all(is_on=self._preservation.is_raised)
            for one in self._judged.values():
                if not one.state.silent:
                    continue
                if self._preservation.is_raised and one.state.verdict is Verdict.DOWN:
                    if not was_up(one.state, self._preservation.window, now):
                        continue
                    one.state = revive(one.state)
                for key in one.owners:
                    self._changed(key)
        return self._preservation.is_raised

    def _of(self, key: ServiceKey) -> list[tuple[Target, Judged]]:
        wanting = self._wanting.get(key)
        return [] if wanting is None else [(one, self._judged[one]) for one in wanting.targets]

    def _as_published(
        self, found: Iterable[bool | None]
    ) -> Mapping[bool | None, tuple[HealthState, tuple[Turn, ...]]]:
        """Return how targets stand that are judged from now on, once for all of a kind."""
        now = self._clock()
        states = {ready: adopt(ready=ready) for ready in found}
        return {
            ready: (state, (Turn(now, state.verdict, "as it was published"),))
            for ready, state in states.items()
        }

    def _take(
        self, target: Target, wanting: Wanting, first: tuple[HealthState, tuple[Turn, ...]]
    ) -> None:
        judged = self._judged.get(target)
        if judged is None:
            judged = self._judged[target] = Judged(*first)
        judged.owners = (*judged.owners, *wanting.owners) if judged.owners else wanting.owners
        if self._engine is not None:
            self._engine.add(target, wanting.durations)

    def _drop(self, target: Target, key: ServiceKey, wanting: Wanting) -> None:
        judged = self._judged[target]
        judged.owners = tuple(one for one in judged.owners if one != key)
        if not judged.owners:
            self._not_run.forget(target)
            self._preservation.forget(target)
            del self._judged[target]
        if self._engine is not None:
            self._engine.remove(target, wanting.durations)

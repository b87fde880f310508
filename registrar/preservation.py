"""Self-preservation: asks whether silence is our own fault, and what the canaries say.

It never holds anything for longer than it may, and never doubts a refusal.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping

import structlog

from registrar.decide.preservation import (
    LONGEST_WINDOW_S,
    Alarm,
    Canary,
    Counted,
    census,
    judge,
    window,
)
from registrar.model import CheckResult, Outcome, Preservation, Target

LOOK_S, URGENT_LOOK_S = 0.5, 0.05
"""A count of all targets is taken at most so often; the second is for when one is to go down."""

SILENCES = 2
"""A canary counts as out of reach after so many silent checks in a row."""

VOUCHED_S = 1.5
"""A canary that is asked about a silence has to answer within so many seconds."""

LATE_S = 0.2
"""An outcome is told so late at most, but for a main loop that stands still."""

log = structlog.get_logger()


class SelfPreservation:
    """Watches over all targets. `is_raised` says whether silence says nothing now."""

    def __init__(self, settings: Preservation) -> None:
        self._settings = settings
        self._alarm = Alarm()
        self._looked = -LOOK_S
        self._over_since = -math.inf
        self._silences = dict.fromkeys(settings.canaries, 0)
        self._awaiting: dict[Target, tuple[float, CheckResult]] = {}
        self.window = LONGEST_WINDOW_S
        """Within how many seconds what went down counts as having gone together."""

    def apply(self, settings: Preservation) -> None:
        """Go over to other settings; what is known of a canary that stays is kept."""
        self._settings = settings
        self._silences = {canary: self._silences.get(canary, 0) for canary in settings.canaries}

    @property
    def is_raised(self) -> bool:
        """Whether silence says nothing now."""
        return self._alarm.is_raised

    def is_of_before(self, timeout: float, now: float) -> bool:
        """Whether a check that took `timeout` seconds may have begun while silence said nothing."""
        return now - self._over_since <= timeout + LATE_S

    @property
    def canaries(self) -> Collection[Target]:
        """What is to be checked beside the backends."""
        return self._silences.keys()

    def hear(self, canary: Target, outcome: Outcome) -> None:
        """Take the outcome of a canary's check: whoever refuses was reached."""
        if outcome is not Outcome.UNKNOWN:
            is_silent = outcome is Outcome.SILENT
            self._silences[canary] = self._silences[canary] + 1 if is_silent else 0

    def has_to_vouch(self, target: Target, silence: CheckResult, now: float) -> bool:
        """Whether a silence that would take a target down is not believed yet: a canary is asked.

        If the network has just died, no canary has had the time to fall silent twice.
        """
        if not self._settings.enabled or not self._silences:
            return False
        self._awaiting[target] = now, silence
        return True

    def vouched(self, now: float) -> Mapping[Target, CheckResult]:
        """Return the silences that are believed now that a canary was reached."""
        awaiting, self._awaiting = self._awaiting, {}
        return {
            target: silence
            for target, (since, silence) in awaiting.items()
            if now - since <= VOUCHED_S
        }

    def forget(self, target: Target) -> None:
        """Await nothing for a target: it is gone, or there is news of it."""
        self._awaiting.pop(target, None)

    def look(
        self,
        judged: Mapping[Target, Counted],
        now: float,
        *,
        urgent: bool,
    ) -> bool:
        """Look at everything, if it is time. Return whether the alarm was just raised or ended."""
        least = URGENT_LOOK_S if urgent else LOOK_S
        if not self._settings.enabled or now - self._looked < least:
            return False
        self._looked = now
        before = self._alarm
        self.window = window({target.check.interval for target in judged})
        counted = census(judged, self.window, now)
        self._alarm = judge(before, counted, self._canary, now, self._settings.max_hold)
        if self._alarm.is_raised is before.is_raised:
            return False
        if self._alarm.since is None:
            self._over_since = now
        if self._alarm.is_raised:
            log.warning("self-preservation", silent=counted.silent, up=counted.up)
        else:
            log.warning("self-preservation-ended", spent=self._alarm.spent, silent=counted.silent)
        return True

    @property
    def _canary(self) -> Canary:
        if not self._silences:
            return Canary.NONE
        is_reached = any(count < SILENCES for count in self._silences.values())
        return Canary.REACHED if is_reached else Canary.UNREACHED

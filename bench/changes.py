"""Changes of backends, one after the other or many a second, and how long each takes to be seen."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bench.crowd import Crowd, place
from bench.population import BACKENDS, Population, numbers, service
from bench.watching import Watcher

PACE_S = 1.1
"""A Service changes once a second at most: that is not what is measured."""

PATIENCE_S = 60.0
BATCH_S = 0.1
GOLDEN = 0.618
"""Its multiples, without what is before the point, fill the interval evenly."""


@dataclass(frozen=True, slots=True)
class Seen:
    """How long a change took, in seconds: from when it was made, and from when a check met it."""

    since_made: float
    since_met: float


class Deaths:
    """Backends that have died, by Service and place, and when."""

    def __init__(self, made: Mapping[tuple[str, str], float], crowd: Crowd) -> None:
        self._made = made
        self._crowd = crowd

    def __len__(self) -> int:
        return len(self._made)

    def seen_by(self, watcher: Watcher) -> list[Seen]:
        """Wait until all have been published; return how long each took."""
        seen = watcher.wait_for_all(self._made.keys(), served=False, patience=PATIENCE_S)
        missing = len(self._made) - len(seen)
        assert not missing, f"{missing} of {len(self._made)} were never published"
        met = self._crowd.met()
        return [Seen(at - self._made[one], at - met[one[1]]) for one, at in seen.items()]


class Changes:
    """Makes changes of a population's backends, and follows them by a watcher."""

    def __init__(self, population: Population, crowd: Crowd, watcher: Watcher) -> None:
        self._population = population
        self._crowd = crowd
        self._watcher = watcher
        self._last = dict.fromkeys(range(population.count), float("-inf"))

    def one_by_one(self, count: int) -> list[Seen]:
        """Have a backend die, or come back, of one Service after the other."""
        found = []
        for turn in range(count):
            number, is_alive = turn % self._population.count, self._is_alive(turn)
            self._let_rest(number)
            # The last change was seen right after a check: this one is to come at any time.
            time.sleep(turn * GOLDEN % 1)
            self._crowd.forget()
            backend = numbers(number)[0]
            made = self._crowd.live(backend) if is_alive else self._crowd.die(backend)
            found.append(self._see(number, backend, made, is_alive=is_alive))
        return found

    def deaths(self, services: Iterable[int], which: int, pause: float) -> Deaths:
        """Have a backend of each Service die, however long the one before takes."""
        made: dict[tuple[str, str], float] = {}
        self._crowd.forget()
        for number in services:
            backend = numbers(number)[which]
            made[service(number), place(backend)] = self._crowd.die(backend)
            time.sleep(pause)
        return Deaths(made, self._crowd)

    def storm(self, rate: int, seconds: int) -> Deaths:
        """Have so many backends a second die, each of another Service than those before."""
        made: dict[tuple[str, str], float] = {}
        self._crowd.forget()
        every = int(rate * BATCH_S)
        turns = iter(range(rate * seconds))
        began = time.monotonic()
        for batch in range(int(seconds / BATCH_S)):
            time.sleep(max(0.0, began + batch * BATCH_S - time.monotonic()))
            drawn = [self._drawn(turn) for turn in itertools.islice(turns, every)]
            at = self._crowd.die(*(backend for _, backend in drawn))
            made |= {(service(number), place(backend)): at for number, backend in drawn}
        return Deaths(made, self._crowd)

    def by_file(self, count: int, pause: float = 0.1) -> list[float]:
        """Have the file list a backend of one Service after the other no more, or again."""
        found = []
        for turn in range(count):
            number, is_listed = turn % self._population.count, self._is_alive(turn)
            time.sleep(pause)
            self._let_rest(number)
            made = time.monotonic()
            self._population.list_last([number], is_listed=is_listed)
            last = place(numbers(number)[-1])
            seen = self._watcher.wait(service(number), last, served=is_listed)
            self._last[number] = seen
            found.append(seen - made)
        return found

    def _drawn(self, turn: int) -> tuple[int, int]:
        number = turn % self._population.count
        return number, numbers(number)[turn // self._population.count % (BACKENDS - 1)]

    def _is_alive(self, turn: int) -> bool:
        return turn // self._population.count % 2 == 1

    def _let_rest(self, number: int) -> None:
        time.sleep(max(0.0, self._last[number] + PACE_S - time.monotonic()))

    def _see(self, number: int, backend: int, made: float, *, is_alive: bool) -> Seen:
        seen = self._watcher.wait(service(number), place(backend), served=is_alive)
        self._last[number] = seen
        return Seen(seen - made, seen - self._crowd.met()[place(backend)])


def since_made(found: Sequence[Seen], unit: float = 1.0) -> list[float]:
    """Return how long each took from when it was made."""
    return [unit * one.since_made for one in found]


def since_met(found: Sequence[Seen], unit: float = 1.0) -> list[float]:
    """Return how long each took from when it could be known."""
    return [unit * one.since_met for one in found]

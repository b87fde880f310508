"""What most benchmarks run in: a lab with a crowd of backends, a population, and who watches it."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.changes import Changes
from bench.crowd import Crowd
from bench.population import BACKENDS, Population
from bench.watching import ENDPOINTS, Watcher
from tests.integration.site import CLUSTER_ROLE, LEASE_ROLE, ROLE, Run, Site
from tests.lab import Lab, LabError, wait_for

PATIENCE_S = 300.0
SETTLING_S = 5.0
FORMS = 2
ROLES = (ROLE, CLUSTER_ROLE, LEASE_ROLE)


@dataclass(frozen=True, slots=True)
class Scene:
    """The lab, what is in it, and who watches slices and Endpoints of all Services."""

    lab: Lab
    crowd: Crowd
    site: Site
    population: Population
    slices: Watcher
    endpoints: Watcher

    def changes(self, watcher: Watcher | None = None) -> Changes:
        """Return what makes changes, seen in the slices unless another watcher is given."""
        return Changes(self.population, self.crowd, watcher or self.slices)

    def start(self, besides: int = 0) -> Run:
        """Start registrar, and return once all backends are served, and so many besides.

        It is a negative number where some can't be.
        """
        run = self.site.start()
        self._wait(BACKENDS * self.population.count + besides, run)
        return run

    def wait_until_served(self) -> None:
        """Wait until all backends are served."""
        self._wait(BACKENDS * self.population.count)

    def _wait(self, wanted: int, run: Run | None = None) -> None:
        """Wait until exactly so many are served, in slices and in Endpoints, if it runs so long."""

        def is_over() -> bool:
            if run is not None and not run.is_running:
                raise LabError(f"registrar has ended:\n{run.log.read_text()[-2000:]}")
            return {self.slices.ready(), self.endpoints.ready()} == {wanted}

        wait_for(is_over, PATIENCE_S, lambda: f"{wanted} backends; {self.slices.ready()} are")

    def heal(self) -> None:
        """Have all backends live, and wait until they are served."""
        self.crowd.heal()
        self.wait_until_served()

    def count_writes(self) -> dict[str, int]:
        """Return how much has been written of each form until now."""
        written = [one.resource for one in self.site.writes()]
        return {form: written.count(form) for form in ("endpointslices", "endpoints")}

    def writes(self) -> int:
        """Return how much has been written until now, of all forms."""
        return sum(self.count_writes().values())

    def writes_at_rest(self, seconds: float) -> int:
        """Return how much is written in so much time."""
        before = self.writes()
        time.sleep(seconds)
        return self.writes() - before

    def writes_after_a_restart(self, run: Run) -> tuple[int, Run]:
        """Return how much is written after a restart with nothing changed, and the new run.

        One change is made that shows that all has been looked at; it is not counted.
        """
        run.stop()
        before = self.writes()
        again = self.site.start()
        self.changes().by_file(1)
        time.sleep(SETTLING_S)
        writes = self.writes() - before - FORMS
        self.population.list_all()
        self.wait_until_served()
        return writes, again


@contextlib.contextmanager
def scene(*, headless: bool = False) -> Iterator[Scene]:
    """Have it all up within the block; the population's Services may be headless."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Lab.up() as lab,
        Crowd.on(lab) as crowd,
        Site.on(lab, "bench", Path(folder), ROLES) as site,
    ):
        population = Population(site, headless=headless)
        yield Scene(lab, crowd, site, population, Watcher(site), Watcher(site, ENDPOINTS))

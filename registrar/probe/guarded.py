"""A prober whose files could not be read, for a defect that nobody has thought of."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import structlog

from registrar.defects import where
from registrar.model import CheckResult
from registrar.probe.exchange import Exchange, Place, Prober
from registrar.probe.results import not_run

log = structlog.get_logger()


class Guarded:
    """Begins checks as a prober does. None is run until `read` has ended as it should."""

    def __init__(self, prober: Prober, files: Sequence[Path]) -> None:
        self._prober = prober
        self._unread: CheckResult | None = None
        self.files = files

    def read(self) -> None:
        """Read the files, in any thread; raise nothing."""
        try:
            self._prober.read()
        except Exception as error:  # noqa: BLE001  whoever waits for it would wait for ever
            # Not what it says: that may hold what the files hold.
            kind, place = type(error).__name__, where(error)
            files = [str(file) for file in self.files]
            log.error("check-files-not-read", files=files, error=kind, place=place)  # noqa: TRY400  as above
            self._unread = not_run(f"a defect of registrar ({kind}); report it with the log")
        else:
            self._unread = None

    def begin(self, place: Place) -> Exchange | CheckResult:
        """Begin a check, or say why none is run."""
        return self._unread or self._prober.begin(place)

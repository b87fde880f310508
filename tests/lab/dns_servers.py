"""DNS servers within a lab: a real one that serves a zone, and one that says what a script tells.

They must never listen anywhere but in the lab's namespace.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.lab.dns_script import Script
from tests.lab.errors import LabError
from tests.lab.namespaces import Argv, Namespace
from tests.lab.processes import Process

ADDRESS = "127.0.0.1"
SCRIPTED = Path(__file__).parent / "dns_script.py"

CONFIG = """\
server:
    rundir: {folder}
    listen: {address}@{port}
    udp-workers: 1
    tcp-workers: 1
log:
  - target: stderr
    any: info
database:
    storage: {folder}
template:
  - id: default
    storage: {folder}
    journal-content: none
    zonefile-sync: -1
"""
CONFIG_OF_ZONE = """\
zone:
  - domain: test
    file: test.zone
"""
ZONE = """\
$ORIGIN test.
@ 60 SOA ns hostmaster {serial} 60 60 60 1
@ 60 NS ns
ns 60 A 127.0.0.1
{records}
"""


class Knot:
    """Knot DNS, which serves the zone `test`."""

    def __init__(self, state: Path, namespace: Namespace, port: int) -> None:
        self.server = f"{ADDRESS}:{port}"
        self._namespace = namespace
        self._port = port
        self._serial = 0
        # Its socket is in there, whose path has 107 characters at most.
        self._folder = state / f"knot-{port}"
        self._folder.mkdir(mode=0o700)
        self._configuration = self._folder / "knot.conf"
        argv: Argv = ["knotd", "-c", self._configuration]
        self.process = Process(state, namespace, f"knot-{port}", argv, self._is_ready)

    def start(self, *records: str) -> None:
        """Start it, with these records in its zone; it answers on return."""
        self._write(*records)
        self._configure(zone=True)
        self.process.start()

    def serve(self, *records: str) -> None:
        """Put these records into the zone, in the place of those that were there.

        They are written as `NAME TTL TYPE DATA`, names without a final dot below `test`.
        """
        self._write(*records)
        self._control("-b", "zone-reload", "test")

    def forget_zone(self) -> None:
        """Serve no zone any more: what is asked is REFUSED."""
        self._configure(zone=False)
        self._control("reload")

    def expire_zone(self) -> None:
        """Serve the zone's data no more: SERVFAIL."""
        self._control("-f", "-b", "zone-purge", "test", "+expire")

    def remember_zone(self) -> None:
        """Undo `forget_zone` and `expire_zone`."""
        self.forget_zone()  # one that has expired is read again by no other way
        self._configure(zone=True)
        self._control("reload")

    def stop(self) -> None:
        """End it: nobody listens."""
        self.process.stop()

    close = stop

    def resume(self) -> None:
        """Undo `stop`."""
        self.process.start()

    def _write(self, *records: str) -> None:
        self._serial += 1
        text = ZONE.format(serial=self._serial, records="\n".join(records))
        (self._folder / "test.zone").write_text(text)

    def _configure(self, *, zone: bool) -> None:
        text = CONFIG.format(folder=self._folder, address=ADDRESS, port=self._port)
        self._configuration.write_text(text + (CONFIG_OF_ZONE if zone else ""))

    def _control(self, *arguments: str) -> None:
        done = self._knotc(*arguments)
        if done.returncode != 0:
            raise LabError(f"knotc {' '.join(arguments)}: {done.stderr.strip()}")

    def _knotc(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        argv: Argv = ["knotc", "-c", self._configuration, *arguments]
        return self._namespace.run(argv)

    def _is_ready(self) -> bool:
        done = self._knotc("zone-status", "test")
        return done.returncode == 0 and "serial" in done.stdout and "serial: -" not in done.stdout


class Scripted:
    """A server that says what a script tells it to, from the next question on."""

    def __init__(self, state: Path, namespace: Namespace, port: int) -> None:
        self.server = f"{ADDRESS}:{port}"
        self._file = state / f"dns-{port}.json"
        argv: Argv = [sys.executable, SCRIPTED, ADDRESS, str(port), self._file]
        self.process = Process(state, namespace, f"dns-{port}", argv, self._is_ready)

    def start(self, script: Script | None = None) -> None:
        """Start it; it answers on return."""
        self.says(script or {})
        self.process.start()

    def says(self, script: Script) -> None:
        """Say this from now on: what is said by question, such as `web.test A`."""
        new = self._file.with_suffix(".new")
        new.write_text(json.dumps(dict(script)))
        new.rename(self._file)

    def stop(self) -> None:
        """End it: nobody listens."""
        self.process.stop()

    def _is_ready(self) -> bool:
        return "ready" in self.process.log_tail()

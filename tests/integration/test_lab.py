"""The lab itself: what every other test here stands on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from tests.lab import Lab, LabError, Node, ownership, wait_for

CRASHER = """
import time
from tests.lab import Lab
with Lab.up() as lab:
    lab.backend("orphan")
    print(lab.state.name, flush=True)
    time.sleep(600)
"""


def test_two_labs_do_not_collide(lab: Lab) -> None:
    with Lab.up() as other:
        first, second = lab.backend("same"), other.backend("same", port=81)
        assert first.address == second.address
        for where, port in ((lab, 80), (other, 81)):
            done = where.run(["curl", "-s", f"http://{first.address}:{port}/"])
            assert done.stdout == "same"
        other.kubectl("create", "namespace", "elsewhere")
        assert "elsewhere" not in lab.kubectl("get", "namespaces")
        lab.remove(first)
    assert not other.state.exists()


def test_a_crash_leaves_nothing_that_stops_the_next() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", CRASHER], stdout=subprocess.PIPE, text=True
    ) as crashed:
        assert crashed.stdout is not None
        name = crashed.stdout.readline().strip()
        state = ownership.HOME / name
        assert state.exists()
        os.kill(crashed.pid, signal.SIGKILL)
    ownership.sweep()
    assert not state.exists()
    done = subprocess.run(["ip", "netns", "list"], check=True, capture_output=True, text=True)
    assert name not in done.stdout


def test_a_backend_can_be_made_to_fail_in_every_way(lab: Lab) -> None:
    backend = lab.backend("fails")
    url = f"http://{backend.address}/healthz"

    def curl() -> int:
        return lab.run(["curl", "-sf", "-m", "0.5", url]).returncode

    assert curl() == 0
    for fail, mend, status in (
        (backend.kill, backend.start, 7),
        (backend.freeze, backend.thaw, 28),
        (backend.cut, backend.heal, 28),
        (lambda: backend.set_healthy(False), lambda: backend.set_healthy(True), 22),
    ):
        fail()
        assert curl() == status
        mend()
        wait_for(lambda: curl() == 0, 30, "an answer again")
    lab.remove(backend)


def test_the_node_runs_commands(node: Node) -> None:
    assert node.run("echo one; exit 3") == (3, "one\n")
    assert node.run("while :; do :; done", timeout=1).status == 124
    with pytest.raises(LabError):
        node.run("two\nlines")
    assert node.get("http://10.90.0.99/", timeout=1).error


def test_a_user_has_no_rights_but_those_granted(lab: Lab) -> None:
    user = lab.new_user()
    done = lab.run(["kubectl", "--kubeconfig", lab.kubeconfig(user), "get", "services"])
    assert done.returncode == 1
    assert "forbidden" in done.stderr


def test_the_commands_say_what_is_wrong_in_words() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.lab", "backend", "kill", "none"],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("lab: there is no backend none") or (
        done.stderr == "lab: the lab is not up; start it with `make lab`\n"
    )

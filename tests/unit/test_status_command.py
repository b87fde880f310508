"""What the commands say of a running program: a Program of fixed values behind the real socket."""

from __future__ import annotations

import asyncio
import io
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import pytest
import yaml
from click.testing import CliRunner, Result
from msgspec.structs import replace
from rich.console import Console

from registrar.admin.server import serving
from registrar.admin.words import backend
from registrar.cli import cli
from registrar.commands import COMMANDS, watching
from registrar.commands.watching import lines, live
from registrar.draining import DrainOrder, DrainOutcome, DrainState
from registrar.model import Admin, ServiceKey
from registrar.resync import Order, Outcome, Outcomes, State
from registrar.status import (
    BackendStatus,
    HoldStatus,
    PartStatus,
    ServiceStatus,
    SourceStatus,
    Status,
    TurnStatus,
)
from tests.fixed_program import FixedProgram

BACKENDS = (
    BackendStatus(
        port_name="http",
        protocol="TCP",
        address="10.20.0.7",
        port=8080,
        published="draining",
        verdict="up",
        reason="connected",
        turns=(TurnStatus(verdict="up", age=190.0, reason="connected"),),
        drained=True,
    ),
    BackendStatus(
        port_name="http",
        protocol="TCP",
        address="2001:db8::7",
        port=8080,
        published="ready",
        verdict="unchecked",
        reason="",
        turns=(),
    ),
)
WEB = ServiceStatus(
    namespace="shop",
    name="web",
    state="held",
    ready=1,
    endpoints=2,
    publish="both",
    sources=("racks",),
    holds=(HoldStatus(reason="source-unknown", detail="racks.yaml: no group 'web' [of 2]"),),
    notices=(),
    dropped=("127.0.0.1: loopback",),
    backends=BACKENDS,
    changed=7300.0,
    written=3,
)
MYSQL = replace(WEB, name="mysql", state="in-place", holds=(), sources=("consul",), changed=None)
PART = PartStatus(name="racks.yaml", answered=65.0, backends=2, error="there is no such file")
EVERYTHING = Status(
    version="0.1.0",
    instance="office",
    taken_at="2026-01-01T00:00:00.000+00:00",
    leads=True,
    leader="",
    self_preservation=False,
    services=(MYSQL, WEB),
    sources=(
        SourceStatus(name="consul", parts=(replace(PART, name="", error=None),), error=None),
        SourceStatus(name="racks", parts=(PART,), error=None),
    ),
)


class Fixed(FixedProgram):
    """A Program that always says the same, and notes what it is asked for."""

    def __init__(self, *states: Status) -> None:
        super().__init__(EVERYTHING)
        self._states = list(states or (EVERYTHING,))
        self.orders: list[DrainOrder] = []
        self.outcome = DrainOutcome(DrainState.DONE, "", (("[2001:db8::7]:80", "draining"),))

    async def status(self) -> Status:
        return self._states.pop(0) if len(self._states) > 1 else self._states[0]

    async def resync(self, order: Order) -> Outcomes:
        return dict.fromkeys(order.services, Outcome(State.UNCHANGED))

    async def drain(self, order: DrainOrder) -> DrainOutcome:
        self.orders.append(order)
        return self.outcome


@contextmanager
def served(program: Fixed, socket: Path) -> Iterator[None]:
    """Serve it on the socket, on a loop of its own: the commands under test block."""
    up, ended = threading.Event(), asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def serve() -> None:
        async with serving(program, Admin(socket=socket)):
            loops.append(asyncio.get_running_loop())
            up.set()
            await ended.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        assert up.wait(30)
        yield
    finally:
        for loop in loops:
            loop.call_soon_threadsafe(ended.set)
        thread.join()


@pytest.fixture
def socket(tmp_path: Path) -> Path:
    return tmp_path / "socket"


def run(socket: Path, *arguments: str) -> Result:
    return CliRunner().invoke(cli, [*arguments, "--socket", str(socket)])


def asked(program: Fixed, socket: Path, *arguments: str) -> Result:
    """Return what a command says where that program runs."""
    with served(program, socket):
        return run(socket, *arguments)


# --- status --------------------------------------------------------------------------------------


def test_all_services_and_sources_are_shown_and_a_hold_ends_with_1(socket: Path) -> None:
    done = asked(Fixed(), socket, "status")
    assert done.exit_code == 1
    assert done.stdout.splitlines() == [
        "registrar 0.1.0, instance office: leads",
        "",
        "SERVICE     STATE     READY  CHANGED  HELD BY       ",
        "shop/mysql  in-place  1/2    never                  ",
        "shop/web    held      1/2    2h       source-unknown",
        "",
        "SOURCE  PART        ANSWERED  BACKENDS  ERROR                ",
        "consul              65s ago   2                              ",
        "racks   racks.yaml  65s ago   2         there is no such file",
    ]


def test_a_named_service_is_shown_with_its_backends_and_its_sources_alone(socket: Path) -> None:
    done = asked(Fixed(), socket, "status", "shop/web")
    assert done.exit_code == 1
    assert done.stdout.splitlines()[2:] == [
        "shop/web: held, 1 of 2 ready, as both, changed 2h ago",
        "  held: source-unknown: racks.yaml: no group 'web' [of 2]                       ",
        "  dropped: 127.0.0.1: loopback                                                  ",
        "  BACKEND                  PUBLISHED           VERDICT    FOR  REASON           ",
        "  http 10.20.0.7:8080      draining (drained)  up         3m   connected        ",
        "  http [2001:db8::7]:8080  ready               unchecked                        ",
        "",
        "SOURCE  PART        ANSWERED  BACKENDS  ERROR                ",
        "racks   racks.yaml  65s ago   2         there is no such file",
    ]


def test_what_is_in_place_ends_with_0(socket: Path) -> None:
    assert asked(Fixed(), socket, "status", "shop/mysql").exit_code == 0


def test_who_stands_by_names_the_leader(socket: Path) -> None:
    standby = replace(EVERYTHING, leads=False, leader="pod-7_ab", self_preservation=True)
    done = asked(Fixed(standby), socket, "status")
    said = " ".join(done.stdout.split())
    assert "stands by; pod-7_ab leads; the silence of backends is doubted" in said


@pytest.mark.parametrize("output", ["json", "yaml"])
def test_programs_get_the_whole_state(socket: Path, output: str) -> None:
    done = asked(Fixed(), socket, "status", "shop/web", "-o", output)
    found = json.loads(done.stdout) if output == "json" else yaml.safe_load(done.stdout)
    assert [one["name"] for one in found["services"]] == ["web"]
    assert found["services"][0]["backends"][0]["drained"] is True
    assert found["sources"][0]["parts"][0]["answered"] == 65.0


def test_a_service_that_is_not_mapped_is_a_wrong_use_and_the_mapped_are_named(
    socket: Path,
) -> None:
    done = asked(Fixed(), socket, "status", "shop/wep")
    assert done.exit_code == 2
    assert "no mapping of the configuration names shop/wep; there are shop/mysql, shop/web" in (
        done.stderr
    )


def test_nobody_runs(socket: Path, capsys: pytest.CaptureFixture[str]) -> None:
    done = run(socket, "status")
    assert "is `registrar run` running here? name its socket with --socket" in str(done.exception)
    del capsys


def test_watching_says_what_changes_in_a_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    later = replace(EVERYTHING, services=(MYSQL, replace(WEB, state="in-place", holds=())))
    assert lines(EVERYTHING, [EVERYTHING, later, later], "table") == later
    at = EVERYTHING.taken_at
    assert capsys.readouterr().out.splitlines() == [
        f"{at} shop/mysql in-place 1/2",
        f"{at} shop/web held 1/2 (source-unknown)",
        f"{at} shop/web in-place 1/2",
    ]


def test_watching_ends_by_itself_with_the_status_of_the_last_look(socket: Path) -> None:
    for output, read in (("json", _json_lines), ("yaml", yaml.safe_load_all)):
        done = asked(Fixed(), socket, "status", "--watch", "--for", "100ms", "-o", output)
        assert [one["name"] for one in read(done.stdout)] == ["mysql", "web"]
        assert done.exit_code == 1


def _json_lines(text: str) -> list[dict[str, str]]:
    return [json.loads(line) for line in text.splitlines()]


# --- drain and undrain ---------------------------------------------------------------------------


def test_a_drain_is_passed_on_as_it_is_meant_and_its_outcome_printed(socket: Path) -> None:
    program = Fixed()
    arguments = ("10.20.0.7", "[2001:db8::7]:80", "--force", "--timeout", "5s")
    done = asked(program, socket, "drain", "shop/web", *arguments)
    assert done.exit_code == 0, done.output
    [order] = program.orders
    assert order.by.startswith("the unix socket (uid ")
    assert (order.service, order.out, order.force) == (ServiceKey("shop", "web"), True, True)
    assert order.backends == (backend("10.20.0.7"), backend("[2001:db8::7]:80"))
    assert order.timeout == 5.0
    assert done.stdout.splitlines() == [
        "SERVICE   BACKEND           PUBLISHED",
        "shop/web  [2001:db8::7]:80  draining ",
    ]


def test_an_undrain_says_so(socket: Path) -> None:
    program = Fixed()
    done = asked(program, socket, "undrain", "shop/web", "10.20.0.7", "-o", "json")
    assert [order.out for order in program.orders] == [False]
    assert json.loads(done.stdout)["outcome"] == "done"


def test_what_is_refused_ends_with_1_and_says_why(socket: Path) -> None:
    program = Fixed()
    program.outcome = DrainOutcome(DrainState.REFUSED, "it is no backend; there are [a, b]")
    done = asked(program, socket, "drain", "shop/web", "10.20.0.7")
    assert done.exit_code == 1
    assert done.stderr == "registrar: shop/web: refused: it is no backend; there are [a, b]\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("shop/web",), "Missing argument 'BACKEND...'"),
        (("web", "10.20.0.7"), "'web' is not a Service; write NAMESPACE/NAME, as shop/mysql"),
        (("shop/web", "10.20.0.300"), "'10.20.0.300' is not a backend; write ADDRESS or"),
        (("shop/web", "10.20.0.7:99999"), "'10.20.0.7:99999' is not a backend"),
        (("shop/web", "10.20.0.7:"), ""),
    ],
)
def test_what_is_written_wrongly_names_what_is_right(
    socket: Path, arguments: tuple[str, ...], words: str
) -> None:
    done = run(socket, "drain", *arguments)
    if words:
        assert done.exit_code == 2
        assert words in " ".join(done.stderr.split())


# --- for all commands ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_help_with_an_example_in_80_columns(name: str) -> None:
    done = CliRunner().invoke(cli, [name, "--help"])
    assert done.exit_code == 0
    assert f"  registrar {name}" in done.stdout.partition("Example")[2]
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_nothing_is_coloured_where_there_is_no_terminal_or_no_colour_is_wanted(
    socket: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "\x1b" not in asked(Fixed(), socket, "status").stdout
    monkeypatch.setenv("FORCE_COLOR", "1")  # as if it were a terminal
    assert "\x1b[32min-place" in asked(Fixed(), socket, "status").stdout
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[32m" not in asked(Fixed(), socket, "status").stdout


@pytest.mark.parametrize("arguments", [("status",), ("status", "shop/web")])
def test_80_columns_are_enough(
    socket: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    long = HoldStatus(reason="removals-unconfirmed", detail="so much has gone " * 20)
    wide = replace(WEB, name="w" * 63, holds=(long, *WEB.holds))
    name = f"shop/{wide.name}"
    done = asked(
        Fixed(replace(EVERYTHING, services=(wide,))),
        socket,
        arguments[0],
        *([name] if len(arguments) > 1 else []),
    )
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert "w" * 20 in done.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_a_script_for_the_shell(shell: str) -> None:
    done = CliRunner().invoke(cli, ["completion", shell])
    assert done.exit_code == 0
    assert "_REGISTRAR_COMPLETE" in done.stdout


def test_services_are_completed_from_the_configuration_and_backends_from_the_program(
    socket: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "registrar.yaml").write_text(
        "sources: {files: {type: static, files: [backends.yaml]}}\n"
        "services:\n"
        "  - {service: shop/web, from: {source: files}}\n"
        "  - {service: shop/mysql, from: {source: files}}\n"
    )
    monkeypatch.setenv("REGISTRAR_CONFIG", str(tmp_path / "registrar.yaml"))
    monkeypatch.setenv("REGISTRAR_SOCKET", str(socket))
    assert completed("status", "shop/") == ["shop/mysql", "shop/web"]
    assert completed("drain", "shop/w") == ["shop/web"]
    assert completed("drain", "shop/web", "10.") == []
    with served(Fixed(), socket):
        assert completed("drain", "shop/web", "10.") == ["10.20.0.7:8080"]
    monkeypatch.setenv("REGISTRAR_CONFIG", str(tmp_path / "none.yaml"))
    assert completed("status", "shop/") == []


def completed(*words: str) -> list[str]:
    """Return what the last word may become."""
    kind = click.shell_completion.BashComplete(cli, {}, "registrar", "_REGISTRAR_COMPLETE")
    *before, begun = words
    return [item.value for item in kind.get_completions(before, begun)]


def test_a_resync_may_be_read_by_programs(socket: Path) -> None:
    program = Fixed()
    done = asked(program, socket, "resync", "shop/web", "-o", "yaml")
    assert done.stdout == "- service: shop/web\n  state: unchanged\n  detail: ''\n"


def test_what_is_shown_on_a_terminal_is_shown_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Console(file=io.StringIO(), force_terminal=True, width=80)
    monkeypatch.setattr(watching, "console", lambda: screen)
    later = replace(EVERYTHING, services=(replace(MYSQL, ready=2),))
    assert live(EVERYTHING, [later], is_detailed=False) == later
    assert isinstance(screen.file, io.StringIO)
    shown = screen.file.getvalue()
    assert "1/2" in shown
    assert "2/2" in shown.rpartition("SERVICE")[2]

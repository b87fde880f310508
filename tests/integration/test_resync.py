"""All ways to ask for a resync, on a real cluster: one path, and an outcome for each Service."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

from tests.integration.replicas import Replicas, election
from tests.integration.site import Run, Site
from tests.lab import wait_for
from tests.lab.fault_proxy import FaultProxy

WEB = "- {service: NS/web, from: {source: files, group: web}, health: {type: none}}"
ONE, TWO, THREE = "10.91.0.1:80", "10.91.0.2:80", "10.91.0.3:80"
PATIENCE_S = 30.0
TOKEN = "s3cret-of-the-test"  # noqa: S105  of this test alone
PORT = 9180


def made(site: Site, *addresses: str, more: str = "") -> dict[str, bool]:
    """Have a site with one Service and these backends; return what is to be published."""
    site.service("web")
    (site.folder / "token").write_text(f"{TOKEN}\n")
    admin = f"admin: {{listen: ':{PORT}', tokenFile: token, socket: registrar.sock}}\n"
    site.configure(WEB, more=admin + more)
    site.list_backends(web=addresses)
    return dict.fromkeys(addresses, True)


def resync(site: Site, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `registrar resync` beside the process, as `kubectl exec` does."""
    socket = site.folder / "registrar.sock"
    argv: list[str | Path] = [sys.executable, "-m", "registrar", "resync", "--socket", socket]
    return site.lab.run([*argv, *arguments])


def outcome(site: Site, *arguments: str) -> tuple[str, str]:
    """Resync the one Service, in vain; return state and detail."""
    done = resync(site, "-o", "json", *arguments)
    assert done.returncode == 1, done.stderr
    (one,) = json.loads(done.stdout)
    return one["state"], one["detail"]


def posted(site: Site, *headers: str, body: str = "{}") -> tuple[int, str]:
    """POST to /resync with curl, within the lab; return status and body."""
    argv = ["curl", "-s", "-X", "POST", "-d", body, "-w", "\n%{http_code}"]
    for header in headers:
        argv += ["-H", header]
    done = site.lab.run([*argv, f"http://127.0.0.1:{PORT}/resync"])
    said, _, code = done.stdout.rpartition("\n")
    return int(code), said


def spoilt(site: Site, proxy: FaultProxy) -> None:
    """Have the Endpoints deleted while registrar's watches tell nothing."""
    proxy.fault("deaf", "watch")
    site.lab.kubectl("delete", "endpoints", "web", "-n", site.namespace)
    assert site.endpoints("web") is None


def resyncs(run: Run) -> list[str]:
    return [line["by"] for line in run.lines("resync")]


def test_by_the_command(site: Site, tmp_path: Path) -> None:
    wanted = made(site, ONE, TWO)
    with FaultProxy.on(site.lab, tmp_path / "proxy") as proxy:
        run = site.start("--kubeconfig", proxy.kubeconfig(site.user))
        site.wait_for_endpoints("web", wanted)
        spoilt(site, proxy)
        done = resync(site, f"{site.namespace}/web", "-o", "json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout) == [
            {
                "service": f"{site.namespace}/web",
                "state": "corrected",
                "detail": "the same endpoints, 1 write",
            }
        ]
        assert site.endpoints("web") == wanted
    assert resyncs(run) == ["the unix socket (uid 0)"]


def test_by_http_with_the_token_alone(site: Site, tmp_path: Path) -> None:
    wanted = made(site, ONE, TWO)
    with FaultProxy.on(site.lab, tmp_path / "proxy") as proxy:
        run = site.start("--kubeconfig", proxy.kubeconfig(site.user))
        site.wait_for_endpoints("web", wanted)
        spoilt(site, proxy)
        assert posted(site)[0] == 401
        assert posted(site, "Authorization: Bearer wrong")[0] == 403
        assert site.endpoints("web") is None
        refused = [(line["status"], line["by"]) for line in run.lines("order-refused")]
        assert refused == [(401, "HTTP from 127.0.0.1"), (403, "HTTP from 127.0.0.1")]
        assert resyncs(run) == []
        bearer = f"Authorization: Bearer {TOKEN}"
        status, said = posted(site, bearer)
        assert (status, json.loads(said)[0]["state"]) == (200, "corrected")
        assert site.endpoints("web") == wanted
        # The token may change at any time.
        (site.folder / "token").write_text("another")
        assert posted(site, bearer)[0] == 403
        statuses = [posted(site, "Authorization: Bearer another")[0] for _ in range(6)]
        assert statuses == [200] * 4 + [429] * 2
        assert posted(site, "Authorization: Bearer another", body="{")[0] in {400, 429}
    assert TOKEN not in run.log.read_text()


def test_by_a_signal(site: Site, tmp_path: Path) -> None:
    wanted = made(site, ONE, TWO)
    with FaultProxy.on(site.lab, tmp_path / "proxy") as proxy:
        run = site.start("--kubeconfig", proxy.kubeconfig(site.user))
        site.wait_for_endpoints("web", wanted)
        spoilt(site, proxy)
        run.process.send_signal(signal.SIGUSR1)
        site.wait_for_endpoints("web", wanted)
        assert run.wait_for_line("resync", by="SIGUSR1")["corrected"] == 1


def test_by_the_annotation(site: Site) -> None:
    wanted = made(site, ONE, TWO)
    run = site.start()
    site.wait_for_endpoints("web", wanted)
    site.lab.kubectl(
        *("annotate", "service", "web", "-n", site.namespace, "registrar.internal/resync=please")
    )
    line = run.wait_for_line("resync", by="the annotation")
    assert (line["services"], line["unchanged"]) == ([f"{site.namespace}/web"], 1)

    def told() -> str:
        return site.lab.kubectl("describe", "service", "web", "-n", site.namespace)

    wait_for(lambda: "Resynced" in told(), PATIENCE_S, told)


def test_a_replica_that_does_not_lead_passes_it_on(site: Site) -> None:
    wanted = made(site, ONE, TWO, more=election(site))
    replicas = Replicas(site, 2)
    leader, other = replicas.all
    leader.start()
    replicas.leader()
    # The second finds the socket's and the port's places taken, so it gets a socket of its own.
    site.configure(WEB, more=f"admin: {{socket: other.sock}}\n{election(site)}")
    other.start()
    site.wait_for_endpoints("web", wanted)
    argv: list[str | Path] = [sys.executable, "-m", "registrar", "resync", "-o", "json"]
    done = site.lab.run([*argv, "--socket", site.folder / "other.sock"])
    assert done.returncode == 0, done.stderr
    assert [one["state"] for one in json.loads(done.stdout)] == ["unchanged"]
    by = leader.run.wait_for_line("resync")["by"]
    assert by.startswith("the unix socket (uid 0), passed on by ")
    assert other.run.lines("resync") == []
    assert replicas.leader() is leader


def test_while_a_source_or_the_api_server_is_down_it_says_so_and_loses_nothing(
    site: Site, tmp_path: Path
) -> None:
    wanted = made(site, ONE, TWO)
    with FaultProxy.on(site.lab, tmp_path / "proxy") as proxy:
        site.start("--kubeconfig", proxy.kubeconfig(site.user))
        site.wait_for_endpoints("web", wanted)
        (site.folder / "backends.yaml").rename(site.folder / "gone.yaml")
        assert outcome(site)[0] == "held"
        assert outcome(site)[1].endswith("backends.yaml: there is no such file")
        assert site.endpoints("web") == wanted
        (site.folder / "gone.yaml").rename(site.folder / "backends.yaml")
        off = proxy.fault("break")
        proxy.cut()
        assert outcome(site)[0] == "failed"
        off.end()
        assert site.endpoints("web") == wanted
        wait_for(lambda: resync(site).returncode == 0, PATIENCE_S, "all is well again")
        # It answers also where the API server hangs.
        hangs = proxy.fault("hold")
        assert outcome(site, "--timeout", "2s")[1] == "no outcome within 2 s; it goes on"
        hangs.end()
    assert site.endpoints("web") == wanted


def test_a_removal_is_accepted_by_hand(site: Site) -> None:
    made(site, ONE, TWO, THREE)
    site.configure(
        f"{WEB[:-1]}, confirm: {{answers: 3, for: 1h}}}}", more="admin: {socket: registrar.sock}\n"
    )
    run = site.start()
    site.wait_for_endpoints("web", dict.fromkeys((ONE, TWO, THREE), True))
    site.list_backends(web=[ONE])
    run.wait_for_line("hold", reason="removals-unconfirmed")
    assert resync(site).returncode == 1
    done = resync(site, f"{site.namespace}/web", "--accept-removals")
    assert (done.returncode, "2 removed" in done.stdout) == (0, True), done.stdout
    assert site.endpoints("web") == {ONE: True}


def test_without_a_running_registrar_the_command_says_what_to_do(site: Site) -> None:
    done = resync(site)
    assert done.returncode == 3
    assert done.stderr == (
        f"registrar: {site.folder}/registrar.sock: nobody answers there; is `registrar run` "
        "running here? name its socket with --socket\n"
    )


def test_probes_answer(site: Site) -> None:
    made(site, ONE)
    site.start().wait_for_line("running")
    for path in ("healthz", "readyz"):
        done = site.lab.run(["curl", "-s", f"http://127.0.0.1:{PORT}/{path}"])
        assert done.stdout == "ok\n"

"""The real kubectl against the embedded API server: what a person would do by hand."""

from __future__ import annotations

import asyncio
import json
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from registrar.embedded import ApiServer, serve
from tests.contract.objects import endpoints, event, lease, service, slice_
from tests.lab import wait_for
from tests.lab.build import built, control_plane

NAMESPACE = {"apiVersion": "v1", "kind": "Namespace"}


class Kubectl:
    """kubectl, and the URL of the server that it is to use."""

    def __init__(self, folder: Path, url: str) -> None:
        self._program = built(control_plane())
        self._options = [f"--server={url}", f"--cache-dir={folder / 'cache'}"]
        self._env = {"HOME": str(folder), "KUBECONFIG": "/dev/null", "PATH": "/usr/bin:/bin"}

    def argv(self, *arguments: str) -> list[str]:
        return [str(self._program), "kubectl", *self._options, *arguments]

    def run(self, *arguments: str, stdin: object = None, status: int = 0) -> str:
        text = None if stdin is None else json.dumps(stdin)
        done = subprocess.run(
            self.argv(*arguments),
            input=text,
            capture_output=True,
            text=True,
            timeout=60,
            env=self._env,
            check=False,
        )
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout + done.stderr if status else done.stdout

    def rows(self, *arguments: str) -> list[list[str]]:
        return [line.split() for line in self.run(*arguments).splitlines()]

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.argv(*arguments), stdout=subprocess.PIPE, text=True, env=self._env
        )


@pytest.fixture
def server() -> ApiServer:
    return ApiServer(controllers=True)


@pytest.fixture
def kubectl(server: ApiServer, tmp_path: Path) -> Iterator[Kubectl]:
    urls: list[str] = []
    ready, end = threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    async def run() -> None:
        async with serve(server) as url:
            urls.append(url)
            ready.set()
            await end.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(run(),))
    thread.start()
    assert ready.wait(10)
    try:
        yield Kubectl(tmp_path, urls[0])
    finally:
        loop.call_soon_threadsafe(end.set)
        thread.join(10)
        loop.close()


def everything() -> list[dict[str, object]]:
    return [
        service("web", {"port": 80, "name": "http"}),
        endpoints("web", "10.1.1.1", "10.1.1.2"),
        slice_("web-1", "10.1.1.1"),
        lease("web", holderIdentity="me"),
        event("web", "default"),
    ]


def test_get_shows_tables(kubectl: Kubectl) -> None:
    for item in everything():
        kubectl.run("create", "-f", "-", stdin=item)
    assert kubectl.rows("get", "services")[0] == [
        "NAME",
        "TYPE",
        "CLUSTER-IP",
        "EXTERNAL-IP",
        "PORT(S)",
        "AGE",
    ]
    row = kubectl.rows("get", "svc", "web", "--no-headers")[0]
    assert (row[:2], row[3:5]) == (["web", "ClusterIP"], ["<none>", "80/TCP"])
    assert kubectl.rows("get", "endpoints")[1][:2] == ["web", "10.1.1.1:80,10.1.1.2:80"]
    assert kubectl.rows("get", "endpointslices")[1][:4] == ["web-1", "IPv4", "80", "10.1.1.1"]
    assert kubectl.rows("get", "leases")[1][:2] == ["web", "me"]
    assert kubectl.rows("get", "events")[1][1:4] == ["Warning", "Held", "service/web"]
    assert [row[:2] for row in kubectl.rows("get", "ns")[1:]] == [
        ["default", "Active"],
        ["kube-system", "Active"],
    ]
    assert kubectl.rows("get", "svc", "-A", "-o", "wide")[1][:2] == ["default", "web"]


def test_selectors(kubectl: Kubectl) -> None:
    for name, color in (("a", "red"), ("b", "blue")):
        kubectl.run("create", "-f", "-", stdin=endpoints(name, labels={"color": color}))
    named = ("get", "endpoints", "-o", "name")
    assert kubectl.run(*named, "-l", "color in (red)").split() == ["endpoints/a"]
    assert kubectl.run(*named, "--field-selector", "metadata.name!=a").split() == ["endpoints/b"]


def test_yaml_and_json(kubectl: Kubectl) -> None:
    kubectl.run("create", "-f", "-", stdin=endpoints("web"))
    assert "- ip: 10.1.1.1" in kubectl.run("get", "endpoints", "web", "-o", "yaml")
    found = json.loads(kubectl.run("get", "endpoints", "-o", "json"))
    assert (found["kind"], found["items"][0]["kind"]) == ("List", "Endpoints")


@pytest.mark.parametrize("how", [[], ["--server-side"]])
def test_apply(kubectl: Kubectl, how: list[str]) -> None:
    apply = ("apply", *how, "-f", "-")
    for item in everything()[:4]:
        kubectl.run(*apply, stdin=item)
        # What is applied again changes nothing.
        assert "created" not in kubectl.run(*apply, stdin=item)
    two = service("web", {"port": 80, "name": "http"}, {"port": 81, "name": "admin"})
    kubectl.run(*apply, stdin=two)
    path = "jsonpath={.spec.ports[*].name}"
    assert kubectl.run("get", "svc", "web", "-o", path).split() == ["http", "admin"]
    kubectl.run(*apply, stdin=service("web", {"port": 81, "name": "admin"}))
    assert kubectl.run("get", "svc", "web", "-o", path) == "admin"


def test_apply_tells_of_what_is_unknown(kubectl: Kubectl) -> None:
    said = kubectl.run("apply", "-f", "-", stdin={**endpoints("web"), "foo": 1}, status=1)
    assert 'strict decoding error: unknown field "foo"' in said


def test_diff_and_dry_run(kubectl: Kubectl, server: ApiServer) -> None:
    kubectl.run("apply", "-f", "-", stdin=endpoints("web"))
    version = server.version
    said = kubectl.run("apply", "--dry-run=server", "-f", "-", stdin=endpoints("web", "10.9.9.9"))
    assert "configured (server dry run)" in said
    assert server.version == version


def test_patch_label_and_replace(kubectl: Kubectl) -> None:
    kubectl.run("create", "-f", "-", stdin=service("web", {"port": 80, "name": "http"}))
    for kind, body in (
        ("strategic", {"spec": {"ports": [{"port": 81, "name": "admin"}]}}),
        ("merge", {"metadata": {"labels": {"a": "b"}}}),
        ("json", [{"op": "add", "path": "/metadata/labels/c", "value": "d"}]),
    ):
        kubectl.run("patch", "svc", "web", "--type", kind, "-p", json.dumps(body))
    kubectl.run("label", "svc", "web", "e=f")
    kubectl.run("annotate", "svc", "web", "note=here")
    item = json.loads(kubectl.run("get", "svc", "web", "-o", "json"))
    assert item["metadata"]["labels"] == {"a": "b", "c": "d", "e": "f"}
    assert item["metadata"]["annotations"] == {"note": "here"}
    assert {port["name"] for port in item["spec"]["ports"]} == {"http", "admin"}
    item["spec"]["ports"] = [{"port": 90}]
    kubectl.run("replace", "-f", "-", stdin=item)
    assert kubectl.run("get", "svc", "web", "-o", "jsonpath={.spec.ports[*].port}") == "90"


def test_delete_waits_for_the_end(kubectl: Kubectl, server: ApiServer) -> None:
    for item in everything():
        kubectl.run("create", "-f", "-", stdin=item)
    assert "deleted" in kubectl.run("delete", "svc", "web")
    assert server.get("services", "default", "web") is None
    kubectl.run("delete", "endpointslices", "--all")
    kubectl.run("create", "-f", "-", stdin={**NAMESPACE, "metadata": {"name": "shop"}})
    assert "deleted" in kubectl.run("delete", "namespace", "shop", "--timeout=20s")
    assert "NotFound" in kubectl.run("get", "ns", "shop", status=1)


def test_describe(kubectl: Kubectl) -> None:
    for item in everything():
        kubectl.run("create", "-f", "-", stdin=item)
    uid = kubectl.run("get", "svc", "web", "-o", "jsonpath={.metadata.uid}")
    about = {"kind": "Service", "name": "web", "namespace": "default", "uid": uid}
    told = event("web-2", "default", involvedObject=about, message="all is well")
    kubectl.run("create", "-f", "-", stdin=told)
    said = kubectl.run("describe", "service", "web")
    assert "all is well" in said
    assert "no answer" not in said  # that was another Service of this name
    assert "10.1.1.1,10.1.1.2" in kubectl.run("describe", "endpoints", "web")
    assert "10.1.1.1" in kubectl.run("describe", "endpointslice", "web-1")
    assert "me" in kubectl.run("describe", "lease", "web")
    assert "Held" in kubectl.run("describe", "event", "web")
    assert "Active" in kubectl.run("describe", "namespace", "default")


def test_watch_shows_what_happens(kubectl: Kubectl) -> None:
    kubectl.run("create", "-f", "-", stdin=endpoints("web", "10.1.1.1"))
    watching = kubectl.start("get", "endpoints", "-w")
    lines: list[list[str]] = []
    assert watching.stdout is not None
    reader = threading.Thread(target=lambda: lines.extend(map(str.split, watching.stdout or ())))
    reader.start()
    try:
        wait_for(lambda: len(lines) >= 2, 20, "what there is")
        kubectl.run("replace", "-f", "-", stdin=endpoints("web", "10.1.1.2"))
        kubectl.run("create", "-f", "-", stdin=endpoints("db", "10.1.1.3"))
        wait_for(lambda: len(lines) >= 4, 20, "what happened")
    finally:
        watching.kill()
        watching.wait()
        reader.join()
        watching.stdout.close()
    assert [line[:2] for line in lines] == [
        ["NAME", "ENDPOINTS"],
        ["web", "10.1.1.1:80"],
        ["web", "10.1.1.2:80"],
        ["db", "10.1.1.3:80"],
    ]


def test_wait_and_api_resources(kubectl: Kubectl) -> None:
    kubectl.run("create", "-f", "-", stdin=service("web", {"port": 80}))
    kubectl.run("wait", "svc/web", "--for=jsonpath={.spec.type}=ClusterIP", "--timeout=20s")
    names = {row[0] for row in kubectl.rows("api-resources", "--no-headers")}
    assert {"services", "endpoints", "endpointslices", "leases", "events", "namespaces"} <= names
    assert "v1.37" in kubectl.run("version")


def test_errors_are_told_as_ever(kubectl: Kubectl) -> None:
    assert 'endpoints "web" not found' in kubectl.run("get", "endpoints", "web", status=1)
    said = kubectl.run("create", "-f", "-", stdin=endpoints("web", "127.0.0.1"), status=1)
    assert "may not be in the loopback range" in said

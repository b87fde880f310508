"""The image as it is deployed: locked down, without any network, on a base of Debian's packages."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from release.locks import locked
from tests.lab import image, wait_for
from tests.lab.dockerd import Dockerd

MOST_OVER_BASE = 150_000_000
LOCKED_DOWN = (
    *("--read-only", "--network=none", "--cap-drop=ALL", "--security-opt=no-new-privileges"),
)
PYTHON = "--entrypoint=/opt/registrar/bin/python"
CONFIG = """\
instance: office
networks: {allow: [10.20.0.0/16], cluster: []}
sources: {files: {type: static, files: [backends.yaml]}}
services: [{service: shop/web, from: {source: files, group: web}}]
"""
OPEN_TO_ALL = {"/tmp", "/var/tmp", "/run/lock"}  # noqa: S108  the base's own
INSTALLED = """\
import importlib.metadata as m, json
print(json.dumps({d.name.lower().replace("_", "-"): d.version for d in m.distributions()}))
"""
NOT_COMPILED = """\
import os, sys, registrar.cli, registrar.commands.run
ours = [m for m in sys.modules.values() if "/opt/registrar/" in (getattr(m, "__file__", "") or "")]
files = {m.__name__: getattr(m, "__cached__", None) for m in ours}
print(len(ours), [name for name, file in files.items() if file and not os.path.exists(file)])
"""


def hashes(component: dict[str, Any]) -> frozenset[str]:
    """Return those that a package of the SBOM may have."""
    places = component["externalReferences"]
    return frozenset(one["content"] for place in places for one in place["hashes"])


@pytest.fixture(scope="module")
def docker() -> Iterator[Dockerd]:
    archive = image.built()
    with Dockerd.alone() as daemon:
        daemon.docker("load", "-i", str(archive))
        yield daemon


def run(docker: Dockerd, *arguments: str, options: tuple[str, ...] = ()) -> str:
    """Run a command in a container that is locked down; return what it prints."""
    return docker.docker("run", "--rm", *LOCKED_DOWN, *options, image.TAG, *arguments)


def test_it_says_what_it_is(docker: Dockerd) -> None:
    said = json.loads(run(docker, "version", "-o", "json"))
    assert said == {"version": image.VERSION, "revision": image.REVISION, "python": said["python"]}
    labels = docker.inspect(image.TAG)["Config"]["Labels"]
    prefix = "org.opencontainers.image"
    assert labels[f"{prefix}.title"] == "registrar"
    assert labels[f"{prefix}.version"] == image.VERSION
    assert labels[f"{prefix}.revision"] == image.REVISION


def test_it_validates_a_mounted_configuration(docker: Dockerd, tmp_path: Path) -> None:
    (tmp_path / "registrar.yaml").write_text(CONFIG)
    tmp_path.chmod(0o755)
    said = run(docker, "validate", options=("-v", f"{tmp_path}:/etc/registrar:ro"))
    assert said == "/etc/registrar/registrar.yaml: valid, 1 mapping(s)"


def test_it_becomes_healthy_and_ends_when_told(docker: Dockerd) -> None:
    options = ("-d", "--name=healthy", "--tmpfs=/tmp", "--health-interval=1s")
    docker.docker("run", *LOCKED_DOWN, *options, image.TAG, "run", "--embedded")

    def health() -> str:
        state = docker.inspect("healthy")["State"]
        assert state["Running"], docker.docker("logs", "healthy")
        return str(state["Health"]["Status"])

    wait_for(lambda: health() == "healthy", 90, "health")
    assert json.loads(docker.docker("exec", "healthy", "registrar", "resync", "-o", "json"))
    docker.docker("stop", "--time=30", "healthy")
    assert docker.inspect("healthy")["State"]["ExitCode"] == 0  # 137 if it had to be killed


def test_it_is_unhealthy_where_nobody_answers(docker: Dockerd) -> None:
    options = ("-d", "--name=mute", "--health-interval=1s", "--health-retries=1")
    start = ("--health-start-period=1ms", "--entrypoint=sleep")
    docker.docker("run", *LOCKED_DOWN, *options, *start, image.TAG, "600")
    wait_for(
        lambda: docker.inspect("mute")["State"]["Health"]["Status"] == "unhealthy", 90, "its end"
    )
    docker.docker("kill", "mute")


def test_it_is_small(docker: Dockerd) -> None:
    history = docker.docker("history", "--human=false", "--format={{.Size}}", image.TAG)
    *ours, base = map(int, history.split())
    assert 0 < sum(ours) < MOST_OVER_BASE
    assert base > 0


def test_its_user_can_write_to_nothing_but_the_volume(docker: Dockerd) -> None:
    config = docker.inspect(image.TAG)["Config"]
    assert config["User"] == "65532:65532"
    assert list(config["Volumes"]) == ["/run/registrar"]
    find = ("-c", "find / -xdev -writable ! -type l 2> /dev/null; true")
    # Not read-only here: what the files themselves allow is what counts.
    found = docker.docker("run", "--rm", "--network=none", "--entrypoint=sh", image.TAG, *find)
    assert set(found.split()) == OPEN_TO_ALL | {"/run/registrar"}


@pytest.mark.parametrize("python", ["/usr/bin/python3", "/opt/registrar/bin/python"])
def test_it_has_nothing_to_build_with(docker: Dockerd, python: str) -> None:
    find = "import importlib.util as u; print([n for n in ('pip', 'setuptools') if u.find_spec(n)])"
    assert run(docker, "-c", find, options=(f"--entrypoint={python}",)) == "[]"
    look = "command -v pip gcc curl; find /opt/registrar -type d -name tests; true"
    assert run(docker, "-c", look, options=("--entrypoint=sh",)) == ""


def test_it_is_what_is_locked_and_says_so(docker: Dockerd) -> None:
    installed = json.loads(run(docker, "-c", INSTALLED, options=(PYTHON,)))
    assert installed.pop("registrar") == image.VERSION
    assert installed == {one.name: one.version for one in locked().values()}
    sbom = json.loads(run(docker, "/opt/registrar/sbom.cdx.json", options=("--entrypoint=cat",)))
    listed = {one["name"]: (one["version"], hashes(one)) for one in sbom["components"]}
    assert listed == {one.name: (one.version, one.hashes) for one in locked().values()}
    assert (sbom["bomFormat"], sbom["metadata"]["component"]["name"]) == ("CycloneDX", "registrar")
    assert sbom["metadata"]["component"]["version"] == image.VERSION


def test_its_bytecode_is_there_from_the_start(docker: Dockerd) -> None:
    many, missing = run(docker, "-c", NOT_COMPILED, options=(PYTHON,)).split(maxsplit=1)
    assert int(many) > 300
    assert missing == "[]"

"""The commands as a user runs them: real processes, exact words, exit statuses."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import yaml

CONFIG = """\
sources: {files: {type: static, files: [backends.yaml]}}
services: [{service: default/nginx, from: {source: files, group: nginx}}]
"""


def registrar(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "registrar", *arguments],
        check=False,
        capture_output=True,
        text=True,
        cwd=folder,
        env={"HOME": str(folder), "PATH": ""},
        timeout=60,
    )


def test_validate_says_that_a_configuration_is_good(tmp_path: Path) -> None:
    (tmp_path / "registrar.yaml").write_text(CONFIG)
    (tmp_path / "backends.yaml").write_text("nginx: [10.20.1.1:80]")
    done = registrar(tmp_path, "validate", "--config", "registrar.yaml")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "registrar.yaml: valid, 1 mapping(s)\n"


def test_validate_warns_of_a_missing_file_of_a_source(tmp_path: Path) -> None:
    (tmp_path / "registrar.yaml").write_text(CONFIG)
    done = registrar(tmp_path, "validate", "--config", "registrar.yaml")
    assert done.returncode == 0
    assert done.stderr == f"warning: {tmp_path}/backends.yaml: there is no such file\n"


def test_validate_warns_of_single_records(tmp_path: Path) -> None:
    (tmp_path / "registrar.yaml").write_text(CONFIG)
    (tmp_path / "backends.yaml").write_text("nginx: [10.20.1.1:80, 10.20.1.300:80]")
    done = registrar(tmp_path, "validate", "--config", "registrar.yaml")
    assert done.returncode == 0
    assert done.stderr == (
        f"warning: {tmp_path}/backends.yaml:1:23: nginx.1.address: '10.20.1.300:80' is not an IP "
        "address; write one such as 10.20.0.7 or 2001:db8::7\n"
    )


def test_a_bad_configuration_ends_with_2(tmp_path: Path) -> None:
    (tmp_path / "registrar.yaml").write_text(CONFIG.replace("services", "servces"))
    done = registrar(tmp_path, "run", "--config", "registrar.yaml")
    assert done.returncode == 2
    assert "unknown key 'servces'; did you mean 'services'?" in done.stderr
    assert "Traceback" not in done.stderr


def test_no_kubeconfig_ends_with_3(tmp_path: Path) -> None:
    (tmp_path / "registrar.yaml").write_text(CONFIG)
    arguments = ("once", "--config", "registrar.yaml", "--kubeconfig", "none")
    done = registrar(tmp_path, *arguments)
    assert done.returncode == 3
    assert done.stderr == "registrar: none: there is no such kubeconfig; check --kubeconfig\n"


def test_the_schema_is_json(tmp_path: Path) -> None:
    done = registrar(tmp_path, "schema")
    assert done.returncode == 0
    assert json.loads(done.stdout)["properties"]["services"]["type"] == "array"


def test_render_prints_manifests_and_needs_no_cluster(tmp_path: Path) -> None:
    config = CONFIG.replace("group: nginx}", "group: nginx}, create: {port: 80}")
    (tmp_path / "registrar.yaml").write_text("instance: office\n" + config)
    (tmp_path / "backends.yaml").write_text("nginx: ['10.20.1.1:8080', '127.0.0.1:80']")
    done = registrar(tmp_path, "render", "--config", "registrar.yaml")
    assert done.returncode == 0, done.stderr
    service, piece, endpoints = yaml.safe_load_all(done.stdout)
    assert service == {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": "nginx",
            "namespace": "default",
            "labels": {"app.kubernetes.io/managed-by": "registrar"},
            "annotations": {"registrar.internal/instance": "office"},
        },
        "spec": {"ports": [{"port": 80}]},
    }
    assert piece["kind"] == "EndpointSlice"
    assert "ownerReferences" not in piece["metadata"]
    assert piece["endpoints"][0]["addresses"] == ["10.20.1.1"]
    assert endpoints["subsets"] == [
        {"addresses": [{"ip": "10.20.1.1"}], "ports": [{"port": 8080, "protocol": "TCP"}]}
    ]


def test_render_says_what_is_not_known(tmp_path: Path) -> None:
    (tmp_path / "registrar.yaml").write_text(CONFIG)
    done = registrar(tmp_path, "render", "--config", "registrar.yaml")
    assert (done.returncode, done.stdout) == (1, "")
    said = done.stderr.splitlines()[-1]
    assert said == (
        f"registrar: default/nginx: source-unknown: {tmp_path}/backends.yaml: there is no such file"
    )

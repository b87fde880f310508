"""What kustomize and Helm make of config/, as objects. Neither asks a cluster."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import yaml

from tests.lab.build import HELM, built, control_plane

CONFIG = Path(__file__).parents[3] / "config"
CHART = CONFIG / "helm" / "registrar"

Object = dict[str, Any]
Objects = dict[tuple[str, str, str], Object]
"""Objects by kind, namespace and name."""


def kustomize(folder: Path) -> Objects:
    """Return the objects of a kustomization, as the kustomize within kubectl has it."""
    done = _run(built(control_plane()), "kubectl", "kustomize", folder)
    assert done.returncode == 0, done.stderr
    return _objects(done.stdout)


def chart(values: Mapping[str, object] | None = None, *, name: str = "registrar") -> Objects:
    """Return the objects of the chart, released into the namespace `registrar`."""
    done = template(values or {}, name)
    assert done.returncode == 0, done.stderr
    return _objects(done.stdout)


def template(
    values: Mapping[str, object], name: str = "registrar"
) -> subprocess.CompletedProcess[str]:
    """Have Helm render the chart."""
    with NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(values, file)
        file.flush()
        return _run(built(HELM), "template", name, CHART, "registrar", file.name)


def lint() -> subprocess.CompletedProcess[str]:
    """Have Helm look for mistakes in the chart."""
    return _run(built(HELM), "lint", CHART)


def _run(*argv: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(argv, capture_output=True, text=True, check=False)


def _objects(text: str) -> Objects:
    documents = [one for one in yaml.safe_load_all(text) if one is not None]
    found = {
        (one["kind"], one["metadata"].get("namespace", ""), one["metadata"]["name"]): one
        for one in documents
    }
    assert len(found) == len(documents)
    return found

"""config/ as it is rendered: Helm as kustomize, the least rights, a configuration that works."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.integration.deployment.rendered import (
    CONFIG,
    Object,
    Objects,
    chart,
    kustomize,
    lint,
    template,
)

RBAC = CONFIG / "rbac"
LIVE = CONFIG / "base" / "files" / "registrar.yaml"
CHART = yaml.safe_load((CONFIG / "helm" / "registrar" / "Chart.yaml").read_text())
HELMS_OWN = {
    "app.kubernetes.io/managed-by": "Helm",
    "helm.sh/chart": f"registrar-{CHART['version']}",
}
INSTANCE = "app.kubernetes.io/instance"
VERBS = {
    "services": {"get", "list", "watch", "create"},
    "endpoints": {"get", "list", "watch", "create", "update", "delete"},
    "endpointslices": {"get", "list", "watch", "create", "update", "delete"},
    "events": {"create", "patch"},
    "leases": {"get", "list", "watch", "create", "update"},
    "nodes": {"list", "watch"},
    "servicecidrs": {"list", "watch"},
}
"""All that registrar may ever be given."""


def without(objects: Objects, labels: dict[str, str]) -> Objects:
    """Return objects without labels that each of them has."""
    for one in objects.values():
        found = one["metadata"]["labels"]
        assert labels.items() <= found.items()
        for label in labels:
            del found[label]
    return objects


def kustomized(folder: Path, **kustomization: object) -> Objects:
    """Return what a kustomization beside a copy of config/ makes."""
    if not (folder / "config").exists():
        shutil.copytree(CONFIG, folder / "config", symlinks=True)
    within = folder / f"kustomization-{len(list(folder.iterdir()))}"
    within.mkdir()
    (within / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    return kustomize(within)


# --- Helm renders what kustomize does -------------------------------------------------------------


@pytest.mark.parametrize(("overlay", "replicas"), [("single", 1), ("replicas", 3)])
def test_the_chart_renders_the_overlay(overlay: str, replicas: int) -> None:
    shipped = kustomize(CONFIG / "overlays" / overlay)
    # Helm can't own the namespace of its release: that is made before (docs/installing.md).
    assert shipped.pop(("Namespace", "", "registrar"))
    assert without(chart({"replicas": replicas}), HELMS_OWN) == shipped


def test_the_chart_renders_rights_and_monitoring(tmp_path: Path) -> None:
    values = {
        "namespaces": ["shop"],
        "createServicesIn": ["shop"],
        "serviceMonitor": {"enabled": True},
    }
    whole = kustomized(
        tmp_path,
        resources=["../config/overlays/single"],
        components=["../config/components/servicemonitor"],
    )
    del whole["Namespace", "", "registrar"]
    rights = kustomized(
        tmp_path,
        namespace="shop",
        resources=["../config/rbac/namespace", "../config/rbac/create"],
        labels=[{"pairs": {INSTANCE: "registrar"}}],
    )
    assert without(chart(values), HELMS_OWN) == whole | rights


def test_the_chart_renders_the_rights_everywhere() -> None:
    extra = without(chart({"allNamespaces": True}), HELMS_OWN)
    rights = {name: extra[name] for name in extra.keys() - chart().keys()}
    label = {INSTANCE: "registrar"}
    assert without(rights, label) == kustomize(RBAC / "all-namespaces")


def test_a_second_release_shares_no_name_with_the_first() -> None:
    second = chart(
        {"config": "instance: office\nservices: []\nadmin: {listen: ':9180'}\n"}, name="x"
    )
    assert not second.keys() & chart().keys()
    (role,) = (
        one for key, one in second.items() if key[2] == "x-registrar-lease" and "rules" in one
    )
    assert role["rules"][1]["resourceNames"] == ["registrar-office"]


def test_a_digest_wins_over_the_tag() -> None:
    digest = f"sha256:{'0' * 64}"
    image = {"repository": "registry.example/registrar", "tag": "x", "digest": digest}
    pod = chart({"image": image})["Deployment", "registrar", "registrar"]["spec"]["template"]
    assert pod["spec"]["containers"][0]["image"] == f"registry.example/registrar@{digest}"


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"replica": 2}, "additional properties 'replica' not allowed"),
        ({"replicas": "3"}, "at '/replicas': got string, want integer"),
        ({"namespaces": ["*"]}, "at '/namespaces/0': '*' does not match pattern"),
        ({"image": {"digest": "abc"}}, "at '/image/digest': 'abc' does not match pattern"),
        ({"config": {"services": []}}, 'config needs `admin: {listen: ":9180"}`: the probes'),
        ({"config": "services: [}"}, "config is no YAML: "),
    ],
)
def test_values_that_are_wrong_are_told(values: dict[str, object], said: str) -> None:
    done = template(values)
    assert done.returncode == 1
    assert said in done.stderr


def test_helm_finds_no_mistake_in_the_chart() -> None:
    done = lint()
    assert done.returncode == 0, done.stdout


def test_a_second_one_beside_the_first_as_the_page_has_it(tmp_path: Path) -> None:
    page = (CONFIG.parent / "docs" / "installing.md").read_text()
    (text,) = re.findall(r"```yaml\n(nameSuffix.*?)```", page, flags=re.DOTALL)
    second = kustomized(tmp_path, **yaml.safe_load(text))
    first = kustomize(CONFIG / "overlays" / "single")
    assert second.keys() & first.keys() == {("Namespace", "", "registrar")}
    spec = second["Deployment", "registrar", "registrar-lab"]["spec"]
    assert spec["selector"]["matchLabels"][INSTANCE] == "lab"
    assert spec["template"]["spec"]["serviceAccountName"] == "registrar-lab"
    account = {"kind": "ServiceAccount", "name": "registrar-lab", "namespace": "registrar"}
    assert all(one["subjects"] == [account] for one in second.values() if "subjects" in one)
    role = second["Role", "registrar", "registrar-lease-lab"]
    assert role["rules"][1]["resourceNames"] == ["registrar-lab"]


# --- the least rights -----------------------------------------------------------------------------


def rules(objects: Objects) -> list[Object]:
    return [rule for one in objects.values() for rule in one.get("rules", ())]


def test_no_right_is_broader_than_what_it_is_for() -> None:
    folders = sorted(file.parent for file in RBAC.glob("*/kustomization.yaml"))
    assert {folder.name for folder in folders} == {
        "all-namespaces",
        "create",
        "lease",
        "namespace",
        "ranges",
    }
    for folder in (*folders, *sorted((CONFIG / "overlays").iterdir())):
        found = rules(kustomize(folder))
        assert found
        for rule in found:
            assert rule.keys() <= {"apiGroups", "resources", "resourceNames", "verbs"}
            assert len(rule["apiGroups"]) == 1
            for resource in rule["resources"]:
                assert set(rule["verbs"]) <= VERBS[resource]


@pytest.mark.parametrize("overlay", ["single", "replicas"])
def test_an_installation_may_do_what_the_tests_run_with_and_no_more(overlay: str) -> None:
    shipped = [
        document["rules"]
        for rights in ("lease", "ranges")
        for document in yaml.safe_load_all((RBAC / rights / "role.yaml").read_text())
    ]
    found = kustomize(CONFIG / "overlays" / overlay)
    given = [one["rules"] for one in found.values() if "rules" in one]
    assert sorted(given, key=str) == sorted(shipped, key=str)
    for one in found.values():
        if "subjects" in one:
            account = {"kind": "ServiceAccount", "name": "registrar", "namespace": "registrar"}
            assert one["subjects"] == [account]


# --- the configuration ----------------------------------------------------------------------------


def uncommented(text: str) -> str:
    """Return the file with its examples in force, as its first lines say it."""
    text = re.sub(r"^services: \[\].*\n", "", text, flags=re.MULTILINE)
    return re.sub(r"^#(?=\S|  )", "", text, flags=re.MULTILINE)


def validated(file: Path) -> str:
    argv = [sys.executable, "-m", "registrar", "validate", "--config", str(file)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_configuration_that_is_installed_serves_nothing() -> None:
    assert validated(LIVE) == f"{LIVE}: valid, 0 mapping(s)\n"


def test_its_examples_are_valid_and_show_every_source(tmp_path: Path) -> None:
    for file in LIVE.parent.iterdir():
        (tmp_path / file.name).write_text(uncommented(file.read_text()))
    file = tmp_path / LIVE.name
    assert validated(file) == f"{file}: valid, 5 mapping(s)\n"
    shown = yaml.safe_load(file.read_text())
    types = {source["type"] for source in shown["sources"].values()}
    assert types == {"static", "consul", "dns", "docker", "http"}
    used = {mapping["from"]["source"] for mapping in shown["services"]}
    assert used == shown["sources"].keys()

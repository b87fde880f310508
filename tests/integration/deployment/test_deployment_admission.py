"""What the API server says of the overlays where Pod Security `restricted` is enforced."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import httpx
import pytest

from tests.integration.deployment.rendered import CONFIG, Object, kustomize
from tests.lab import Lab

OVERLAYS = ("single", "replicas")


@pytest.fixture
def namespace(lab: Lab) -> str:
    """Return the namespace as it is shipped, with the pod's account; both stay, and do nothing."""
    files = (f"-f={CONFIG / 'base' / name}.yaml" for name in ("namespace", "serviceaccount"))
    lab.kubectl("apply", "--server-side", "--force-conflicts", *files)
    return "registrar"


def applied(lab: Lab, folder: Path, *options: str) -> list[str]:
    """Return the objects that the API server would store: it admits them, and stores nothing."""
    options = ("--server-side", "--force-conflicts", "--dry-run=server", *options)
    done = lab.run(["kubectl", "apply", *options, "-k", folder])
    assert (done.returncode, done.stderr) == (0, "")  # warnings would stand there
    return done.stdout.splitlines()


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_overlay_is_applied_without_a_warning(lab: Lab, namespace: str, overlay: str) -> None:
    folder = CONFIG / "overlays" / overlay
    stored = applied(lab, folder)
    assert len(stored) == len(kustomize(folder))
    assert f"deployment.apps/{namespace} serverside-applied (server dry run)" in stored


def test_rights_are_applied_to_a_namespace(lab: Lab, namespace: str) -> None:
    stored = applied(lab, CONFIG / "rbac" / "namespace", f"--namespace={namespace}")
    assert [line.split()[0] for line in stored] == [
        "role.rbac.authorization.k8s.io/registrar",
        "rolebinding.rbac.authorization.k8s.io/registrar",
    ]


def pod(overlay: str) -> Object:
    deployment = kustomize(CONFIG / "overlays" / overlay)["Deployment", "registrar", "registrar"]
    template = deepcopy(deployment["spec"]["template"])
    template["metadata"]["name"] = "registrar-by-hand"
    return {"apiVersion": "v1", "kind": "Pod", **template}


def create(lab: Lab, namespace: str, what: Object) -> httpx.Response:
    url = f"/api/v1/namespaces/{namespace}/pods"
    return lab.api.post(url, params={"dryRun": "All"}, json=what)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_its_pod_is_admitted(lab: Lab, namespace: str, overlay: str) -> None:
    answer = create(lab, namespace, pod(overlay))
    assert answer.status_code == 201, answer.text
    assert "Warning" not in answer.headers


def test_a_pod_with_any_part_loosened_is_refused(lab: Lab, namespace: str) -> None:
    looser: dict[str, Callable[[Object], object]] = {
        "allowPrivilegeEscalation != false": lambda spec: container(spec).pop(
            "allowPrivilegeEscalation"
        ),
        "unrestricted capabilities": lambda spec: container(spec).pop("capabilities"),
        "runAsNonRoot != true": lambda spec: spec["securityContext"].pop("runAsNonRoot"),
        "seccompProfile": lambda spec: spec["securityContext"].pop("seccompProfile"),
        "host namespaces": lambda spec: spec.update(hostNetwork=True),
    }
    for said, loosen in looser.items():
        what = pod("single")
        loosen(what["spec"])
        answer = create(lab, namespace, what)
        assert answer.status_code == 403, said
        message = answer.json()["message"]
        assert 'violates PodSecurity "restricted:latest"' in message
        assert said in message


def container(spec: Object) -> Object:
    found: Object = spec["containers"][0]["securityContext"]
    return found

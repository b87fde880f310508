"""registrar as it is installed: an overlay of config/, applied to a cluster whose node runs pods.

It must never grant more than the overlay, and config/rbac/namespace where a Service is served.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

import yaml

from tests.integration.site import CONFIG, Site
from tests.lab import AuditRecord, wait_for
from tests.lab.pod_node import PodNode

NAMESPACE = NAME = "registrar"
USER = f"system:serviceaccount:{NAMESPACE}:{NAME}"
HEALTH = {"type": "tcp", "interval": "500ms", "timeout": "400ms", "rise": 2, "fall": 2}
PATIENCE_S = 120.0

Object = dict[str, Any]


@dataclass
class Installation:
    """One in the namespace `registrar`; what an earlier test has left is overwritten."""

    node: PodNode

    def apply(self, overlay: str) -> None:
        """Install an overlay, and wait until it is rolled out."""
        self.kubectl("apply", "-k", str(CONFIG / "overlays" / overlay))
        self.wait_for_rollout()

    def image(self) -> str:
        """Return the name by which the overlays ask for the image."""
        named = re.search(r"image: (\S+)", self.kubectl("kustomize", str(CONFIG / "base")))
        assert named is not None
        return named[1]

    def wait_for_rollout(self) -> None:
        """Wait until all pods are new, and Ready, and the others have gone."""
        status = f"--timeout={PATIENCE_S:.0f}s"
        done = self.node.lab.run(
            ["kubectl", "rollout", "status", f"deployment/{NAME}", "-n", NAMESPACE, status],
            timeout=PATIENCE_S + 10,
        )
        assert done.returncode == 0, f"{done.stderr}{self.words()}"
        wanted = self.deployment()["spec"]["replicas"]
        wait_for(lambda: len(self.pods()) == wanted, PATIENCE_S, f"{wanted} pods")

    def remove(self) -> None:
        """Delete the namespace and all in it."""
        self.kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", "--timeout=60s")

    # --- what it serves --------------------------------------------------------------------------

    def serve(self, site: Site, **groups: list[str]) -> None:
        """Give it the rights in a site's namespace, and map a Service to each group of backends."""
        rights = str(CONFIG / "rbac" / "namespace")
        self.kubectl("apply", "-n", site.namespace, "-k", rights)
        services = [
            {"service": f"{site.namespace}/{name}", "from": {"source": "files", "group": name}}
            for name in groups
        ]
        self.configure(services, groups)

    def configure(self, services: list[Object], groups: dict[str, list[str]]) -> None:
        """Change the ConfigMap, as `kubectl edit` or a pipeline does."""
        shipped = yaml.safe_load((CONFIG / "base" / "files" / "registrar.yaml").read_text())
        config = {**shipped, "defaults": {"health": HEALTH}, "services": services}
        files = {"registrar.yaml": yaml.safe_dump(config), "backends.yaml": json.dumps(groups)}
        patch = json.dumps({"data": files})
        self.kubectl("patch", "configmap", NAME, "-n", NAMESPACE, "--type=merge", "-p", patch)

    # --- what there is ---------------------------------------------------------------------------

    def kubectl(self, *arguments: str, check: bool = True) -> str:
        """Run kubectl as admin; return what it prints."""
        return self.node.lab.kubectl(*arguments, check=check)

    def registrar(self, *arguments: str) -> str:
        """Run a command of registrar in one of its pods; return what it prints."""
        return self.kubectl(
            "exec", f"deploy/{NAME}", "-n", NAMESPACE, "--", "registrar", *arguments
        )

    def deployment(self) -> Object:
        """Return the Deployment."""
        text = self.kubectl("get", "deployment", NAME, "-n", NAMESPACE, "-o", "json")
        found: Object = json.loads(text)
        return found

    def pods(self) -> list[Object]:
        """Return the pods, those that end included."""
        found: list[Object] = json.loads(
            self.kubectl("get", "pods", "-n", NAMESPACE, "-o", "json")
        )["items"]
        return found

    def leader(self) -> str:
        """Return the pod that leads; empty where none does."""
        what = (
            "lease",
            "registrar-default",
            "-n",
            NAMESPACE,
            "-o",
            "jsonpath={.spec.holderIdentity}",
        )
        return self.kubectl("get", *what, check=False).partition("_")[0]

    def writes(self) -> list[AuditRecord]:
        """Return what it has written of Services, or tried to: no Events, and no Lease."""
        aside = {"events", "leases"}
        return [one for one in self.node.lab.writes(USER) if one.resource not in aside]

    def resident(self) -> int:
        """Return the resident memory of the program in its pod, in bytes."""
        at = ("exec", f"deploy/{NAME}", "-n", NAMESPACE, "--", "cat", "/proc/1/status")
        found = re.search(r"VmRSS:\s+(\d+) kB", self.kubectl(*at))
        assert found is not None
        return int(found[1]) * 1024

    def words(self) -> str:
        """Return what an operator would look at."""
        described = self.kubectl("describe", "pods", "-n", NAMESPACE, check=False)
        log = self.kubectl("logs", f"deploy/{NAME}", "-n", NAMESPACE, "--tail=20", check=False)
        return f"{described}\n{log}"

"""etcd, the API server and the controllers that the lab needs, in one namespace.

It must never listen outside of that namespace, and runs no controller that nothing here needs.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.lab import audit, credentials
from tests.lab.namespaces import Argv, Namespace
from tests.lab.processes import Process

ADDRESS = "10.90.0.1"
SERVER = f"https://{ADDRESS}:6443"
SERVICE_RANGES = "10.96.0.0/16,fd00:10:96::/112"
ETCD = "http://127.0.0.1:2379"
CONTROLLERS = (
    "endpoints-controller",
    "endpointslice-controller",
    "endpointslice-mirroring-controller",
    "namespace-controller",
    "garbage-collector-controller",
)


CONTROLLERS_OF_PODS = (
    "deployment-controller",
    "replicaset-controller",
    "disruption-controller",
    "node-lifecycle-controller",
    "root-ca-certificate-publisher-controller",
    "serviceaccount-controller",
)


WITHOUT_PODS = ("--endpoint-reconciler-type=none", "--disable-admission-plugins=ServiceAccount")
FOR_PODS = ("--allow-privileged=false", "--kubelet-preferred-address-types=InternalIP")


class ControlPlane:
    """The processes, and the credentials and the log that go with them.

    With `pods` it has what a node that runs pods needs as well.
    """

    def __init__(
        self,
        program: Path,
        state: Path,
        namespace: Namespace,
        api_server_flags: Sequence[str] = (),
        *,
        pods: bool = False,
    ) -> None:
        self._program = program
        self._state = state
        self._namespace = namespace
        # The API server signs its own certificate, and appends the authority's.
        self._authority = state / "certs" / "apiserver.crt"
        self.audit_log = state / "audit.log"
        self.api_socket = state / "api.sock"
        self._kubectl = state / "bin" / "kubectl"
        admin = credentials.kubeconfig(state, credentials.ADMIN)
        self.etcd = self._process(
            "etcd",
            "--data-dir=etcd",
            "--unsafe-no-fsync",
            f"--listen-client-urls={ETCD}",
            f"--advertise-client-urls={ETCD}",
            "--listen-peer-urls=http://127.0.0.1:2380",
        )
        self.api_server = Process(
            state,
            namespace,
            "kube-apiserver",
            [
                program,
                "kube-apiserver",
                f"--etcd-servers={ETCD}",
                f"--service-cluster-ip-range={SERVICE_RANGES}",
                f"--cert-dir={self._authority.parent}",
                f"--advertise-address={ADDRESS}",
                "--secure-port=6443",
                "--token-auth-file=tokens.csv",
                "--authorization-mode=RBAC",
                "--service-account-key-file=sa.pub",
                "--service-account-signing-key-file=sa.key",
                "--service-account-issuer=https://lab",
                "--audit-policy-file=audit-policy.yaml",
                f"--audit-log-path={self.audit_log}",
                *(FOR_PODS if pods else WITHOUT_PODS),
                *api_server_flags,
            ],
            self._api_server_is_ready,
        )
        self.controller_manager = self._process(
            "kube-controller-manager",
            f"--kubeconfig={admin}",
            "--leader-elect=false",
            "--secure-port=0",
            f"--controllers={','.join((*CONTROLLERS, *(CONTROLLERS_OF_PODS if pods else ())))}",
            f"--root-ca-file={self._authority}",
        )
        self._scheduler = self._process(
            "kube-scheduler", f"--kubeconfig={admin}", "--leader-elect=false", "--secure-port=0"
        )
        self._pods = pods
        self._proxy = Process(
            state,
            namespace,
            "kubectl-proxy",
            [self._kubectl, f"--kubeconfig={admin}", "proxy", f"--unix-socket={self.api_socket}"],
            self.api_socket.exists,
        )

    def start(self) -> None:
        """Start everything; return once requests are answered."""
        credentials.write(self._state, SERVER, self._authority)
        (self._state / "audit-policy.yaml").write_text(audit.POLICY)
        for arguments in ("genrsa -out sa.key 2048", "rsa -in sa.key -pubout -out sa.pub"):
            subprocess.run(
                ["openssl", *arguments.split()], cwd=self._state, check=True, capture_output=True
            )
        self._kubectl.parent.mkdir()
        # A cache of its own: the one in the home directory goes by the server's address.
        cache = self._state / "kubectl-cache"
        self._kubectl.write_text(
            f'#!/bin/sh\nexec "{self._program}" kubectl --cache-dir="{cache}" "$@"\n'
        )
        self._kubectl.chmod(0o755)
        self.etcd.start()
        self.api_server.start()
        self.controller_manager.start()
        if self._pods:
            self._scheduler.start()
        self._proxy.start()

    def _process(self, part: str, *flags: str) -> Process:
        return Process(self._state, self._namespace, part, [self._program, part, *flags])

    def _api_server_is_ready(self) -> bool:
        # Anybody may ask for it, once the API server has written its own roles.
        url = f"{SERVER}/readyz"
        curl: Argv = ["curl", "-sf", "-m", "2", "--cacert", self._authority, url]
        self.etcd.raise_if_ended()
        return self._namespace.run(curl).returncode == 0

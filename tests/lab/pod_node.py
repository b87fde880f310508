"""A node that runs pods: the real kubelet, containerd and kube-proxy (nftables) in a namespace.

It must never leave a container, a mount or a cgroup behind, nor end what it did not start.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from pathlib import Path

import yaml

from tests.lab import archive, leftovers, parts
from tests.lab.errors import LabError
from tests.lab.lab import Lab
from tests.lab.machine import Machine
from tests.lab.namespaces import Argv, HostNamespace
from tests.lab.node import NodeResponse, curl, response
from tests.lab.processes import Process
from tests.lab.waiting import wait_for

NAME, NUMBER = "node2", 3
PODS = "10.244.2.0/24"
LIBRARY = "docker.io/library"
PAUSE = f"{LIBRARY}/pause:lab"
# Where the parts insist on places that the machine has as well, they get some of their own.
HOLD = """\
for place in /run/containerd /var/lib/kubelet /var/log/containers; do
  mkdir -p "$place" && mount -t tmpfs tmpfs "$place" || exit 1
done
exec containerd --config "$1"
"""
CNI = {
    "cniVersion": "1.0.0",
    "name": "pods",
    "plugins": [
        {
            "type": "bridge",
            "bridge": "pods0",
            "isGateway": True,
            "ipMasq": True,
            "hairpinMode": True,
            "ipam": {
                "type": "host-local",
                "ranges": [[{"subnet": PODS}]],
                "routes": [{"dst": "0.0.0.0/0"}],
            },
        }
    ],
}
# In a chain's name, as what dnat is given, or in a map: it differs by version.
_ADDRESS = r"(\d+\.\d+\.\d+\.\d+)"
_ENDPOINT = re.compile(rf"__{_ADDRESS}/(\d+)|\b{_ADDRESS}(?::| \. )(\d+)")


class PodNode:
    """The node. Its lab must be one that `runs_pods`."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self._machine = Machine(lab.namespace, NAME, NUMBER, HostNamespace)
        self.address = self._machine.address
        self._namespace = self._machine.namespace
        self._folder = lab.state / f"kubelet-{NUMBER}"
        self._socket = self._folder / "containerd.sock"
        self._cgroup = leftovers.cgroup_of(self._folder)
        file = self._folder / "containerd.toml"
        holder: Argv = [
            "unshare",
            "--mount",
            "--propagation",
            "private",
            "sh",
            "-c",
            HOLD,
            "sh",
            file,
        ]
        self.containerd = self._process("containerd", holder, self._containerd_answers)
        self.kubelet: Process | None = None
        self.kube_proxy: Process | None = None

    @classmethod
    @contextlib.contextmanager
    def on(cls, lab: Lab) -> Iterator[PodNode]:
        """Run one; it ends with the block."""
        parts.require(parts.POD_PACKAGES)
        node = cls(lab)
        try:
            node._start()
            yield node
        finally:
            node._end()

    # --- use -------------------------------------------------------------------------------------

    def load(self, image: Path) -> None:
        """Import an image that `docker save` or `archive.image` has written."""
        self._ctr("images", "import", str(image))

    def tag(self, image: str, other: str) -> None:
        """Give an image that is there another name as well."""
        self._ctr("images", "tag", "--force", f"{LIBRARY}/{image}", f"{LIBRARY}/{other}")

    def run(self, *argv: str, timeout: float = 30) -> str:
        """Run a command on the node; return what it prints. Raise LabError if it fails."""
        done = self._namespace.run(argv, timeout=timeout)
        if done.returncode != 0:
            raise LabError(f"{' '.join(argv)}: {done.stderr.strip()}")
        return done.stdout

    def get(self, url: str, timeout: float = 3) -> NodeResponse:
        """Request a URL from the node, on a connection of its own."""
        done = self._namespace.run(curl(url, timeout))
        return response(done.returncode, done.stdout)

    def real_servers(self, service: str, namespace: str) -> set[str]:
        """Return where kube-proxy sends a Service's connections, as `address:port`."""
        rules = self.run("nft", "list", "table", "ip", "kube-proxy")
        found: set[str] = set()
        for chain in re.findall(r"chain (service-\S+) \{(.*?)\n\t\}", rules, re.DOTALL):
            if f"-{namespace}/{service}/" in chain[0]:
                found |= {":".join(filter(None, one)) for one in _ENDPOINT.findall(chain[1])}
        return found

    # --- start and end ---------------------------------------------------------------------------

    def _start(self) -> None:
        self._folder.mkdir()
        self._machine.add()
        self._write("containerd.toml", _containerd_config(self._folder, self._socket))
        self._write("cni/pods.conflist", json.dumps(CNI))
        self._write("kubelet.yaml", yaml.safe_dump(_kubelet_config(self._folder, self._cgroup)))
        self._namespace.run(
            ["sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"]
        ).check_returncode()
        leftovers.make_cgroup(self._cgroup)
        self.containerd.start()
        pause = self._folder / "pause.tar"
        archive.image(pause, PAUSE, ["/bin/sleep", "inf"])
        self.load(pause)
        program, kubeconfig = self.lab.state / "control-plane", self.lab.kubeconfig()
        within: Argv = ["nsenter", f"--mount=/proc/{self.containerd.pid}/ns/mnt", program]
        self.kubelet = self._process(
            "kubelet",
            [
                *(*within, "kubelet", f"--kubeconfig={kubeconfig}"),
                f"--config={self._folder / 'kubelet.yaml'}",
                f"--root-dir={self._folder / 'kubelet'}",
                f"--hostname-override={NAME}",
                f"--node-ip={self.address}",
            ],
        )
        self.kubelet.start()
        wait_for(self._is_ready, 60, lambda: f"{NAME} to be Ready:\n{self._said()}")
        self.kube_proxy = self._process(
            "kube-proxy",
            [
                *(program, "kube-proxy", f"--kubeconfig={kubeconfig}"),
                *("--proxy-mode=nftables", f"--hostname-override={NAME}"),
                *("--cluster-cidr=10.244.0.0/16", "--conntrack-max-per-core=0"),
                "--oom-score-adj=0",
            ],
        )
        self.kube_proxy.start()
        wait_for(self._serves, 60, lambda: f"the first sync of kube-proxy:\n{self._said()}")

    def _end(self) -> None:
        self._machine.end()
        if self._folder.exists():
            leftovers.clear(self._folder)

    def _is_ready(self) -> bool:
        what = "jsonpath={.status.conditions[?(@.type=='Ready')].status} {.spec.taints}"
        found = self.lab.kubectl("get", "node", NAME, "-o", what, check=False)
        return found.strip() == "True"

    def _serves(self) -> bool:
        if self.kube_proxy is not None:
            self.kube_proxy.raise_if_ended()
        tables = self.run("nft", "list", "tables")
        return "ip kube-proxy" in tables and bool(self.real_servers("kubernetes", "default"))

    def _containerd_answers(self) -> bool:
        return self._socket.exists() and self._ctr("version", check=False)

    def _ctr(self, *arguments: str, check: bool = True) -> bool:
        argv = ["ctr", f"--address={self._socket}", "--namespace=k8s.io", *arguments]
        done = self._namespace.run(argv, timeout=120)
        if check and done.returncode != 0:
            raise LabError(f"ctr {' '.join(arguments)}: {done.stderr.strip()}")
        return done.returncode == 0

    def _process(self, name: str, argv: Argv, is_ready: object = None) -> Process:
        ready = is_ready if callable(is_ready) else lambda: True
        return Process(self._folder, self._namespace, name, argv, ready)

    def _said(self) -> str:
        running = [one for one in (self.containerd, self.kubelet, self.kube_proxy) if one]
        return "\n".join(f"{one.name}:\n{one.log_tail(8)}" for one in running)

    def _write(self, name: str, text: str) -> None:
        file = self._folder / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)


def _containerd_config(folder: Path, socket: Path) -> str:
    # The score is one that this machine may not be able to lower; then runc would fail.
    return f"""\
version = 2
root = "{folder}/containerd"
state = "{folder}/run"
oom_score = 0
[grpc]
  address = "{socket}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE}"
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{folder}/cni"
"""


def _kubelet_config(folder: Path, cgroup: str) -> dict[str, object]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        # Nobody but this lab reaches it.
        "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
        "authorization": {"mode": "AlwaysAllow"},
        "containerRuntimeEndpoint": f"unix://{folder}/containerd.sock",
        "podLogsDir": f"{folder}/logs",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{cgroup}",
        "failCgroupV1": False,
        "failSwapOn": False,
        "localStorageCapacityIsolation": False,
        "oomScoreAdj": 0,
        "evictionHard": {"memory.available": "1Mi", "nodefs.available": "1Mi"},
        "imageGCHighThresholdPercent": 100,
        "syncFrequency": "2s",  # how late a mounted ConfigMap may be: a minute, otherwise
        "configMapAndSecretChangeDetectionStrategy": "Watch",
    }

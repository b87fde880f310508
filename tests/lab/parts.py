"""The system parts that the lab is made of, installed where that is possible.

Python and Go are not among them: whoever runs the tests brings those. It never upgrades anything.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.lab.errors import LabError

HERE = Path(__file__).parent
DEBIAN_PACKAGES = {
    "ip": "iproute2",
    "nft": "nftables",
    "openssl": "openssl",
    "curl": "curl",
    "linux.uml": "user-mode-linux",
    # The node sees this machine's files, so what it needs is installed here.
    "ipvsadm": "ipvsadm",
    "ipset": "ipset",
    "conntrack": "conntrack",
    "modprobe": "kmod",
    "xtables-legacy-multi": "iptables",
    "knotd": "knot",
    "promtool": "prometheus",
}
DOCKER_PACKAGES = {
    "dockerd": "docker.io",
    "docker": "docker.io",
    "busybox": "busybox-static",
    "iptables": "iptables",
}
POD_PACKAGES = {
    **DOCKER_PACKAGES,
    "containerd": "containerd",
    "runc": "runc",
    "file:/usr/lib/cni/bridge": "containernetworking-plugins",
}
BROWSER_PACKAGES = {"chromium": "chromium"}
NGINX_PACKAGES = {"nginx": "nginx-light"}
CHECK_PACKAGES = {
    "ip": "iproute2",
    "openssl": "openssl",
    "haproxy": "haproxy",
    **NGINX_PACKAGES,
}
BASE_PACKAGES = {"mmdebstrap": "mmdebstrap"}


def require(packages: Mapping[str, str] = DEBIAN_PACKAGES) -> None:
    """Make sure of the system parts. Raise LabError that names what is missing.

    `packages`: for each command that is needed, the package that has it.
    """
    if os.geteuid() != 0:
        raise LabError("the lab needs root, for its network namespaces")
    if not Path("/dev/net/tun").exists():
        raise LabError("the lab needs /dev/net/tun, for the cable of its node: modprobe tun")
    install(packages)


def install(packages: Mapping[str, str]) -> None:
    """As `require`, of parts that need no lab around them."""
    pairs = [f"{command}:{package}" for command, package in packages.items()]
    # Debian's administration commands are not on everybody's PATH.
    path = os.environ["PATH"] = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    done = subprocess.run(
        ["sh", HERE / "require.sh", *pairs], check=False, env={**os.environ, "PATH": path}
    )
    if done.returncode != 0:
        raise LabError("system parts are missing: see above")

"""Reads the kernel's IPVS table through netlink. It only ever reads."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from ipaddress import ip_address
from socket import IPPROTO_SCTP, IPPROTO_TCP, IPPROTO_UDP
from typing import Any

from registrar.errors import NoTable
from registrar.ipvs.table import Table, VirtualServer
from registrar.model import BackendId

_PROTOCOLS = {IPPROTO_TCP: "TCP", IPPROTO_UDP: "UDP", IPPROTO_SCTP: "SCTP"}


def read_table() -> Table:
    """Return the table of this machine. Raise NoTable."""
    pyroute2 = _library()
    try:
        with pyroute2.IPVS() as ipvs:
            return dict(_virtual_servers(pyroute2, ipvs))
    except OSError as error:
        raise _no_table(error.errno or 0) from None
    except pyroute2.NetlinkError as error:
        raise _no_table(error.code) from None


def _library() -> Any:  # noqa: ANN401  a library without types
    try:
        import pyroute2  # noqa: PLC0415  it is big, it is optional, and only a node needs it
    except ImportError:
        raise NoTable(
            "reading the IPVS table takes pyroute2; install it with `pip install 'registrar[node]'`"
        ) from None
    return pyroute2


def _no_table(code: int) -> NoTable:
    if code in {errno.EPERM, errno.EACCES}:
        return NoTable(
            "the kernel doesn't let this user read its IPVS table; run it as root, or with the "
            "capability NET_ADMIN in the node's own network namespace"
        )
    if code == errno.ENOENT:
        return NoTable(
            "this kernel has no IPVS; run it on a node whose kube-proxy is in the mode ipvs, or "
            "load the module with `modprobe ip_vs`"
        )
    return NoTable(f"the kernel's IPVS table can't be read: {errno.errorcode.get(code, code)}")


def _virtual_servers(
    pyroute2: Any,  # noqa: ANN401  a library without types
    ipvs: Any,  # noqa: ANN401  as above
) -> Iterator[tuple[VirtualServer, dict[BackendId, int]]]:
    for message in ipvs.service("dump"):
        said = message.get_attr("IPVS_CMD_ATTR_SERVICE")
        protocol = _PROTOCOLS.get(said.get_attr("IPVS_SVC_ATTR_PROTOCOL"))
        if protocol is None:  # one that goes by a firewall mark, which kube-proxy never makes
            continue
        address = ip_address(said.get_attr("IPVS_SVC_ATTR_ADDR"))
        server = VirtualServer(address, said.get_attr("IPVS_SVC_ATTR_PORT"), protocol)
        asked = pyroute2.IPVSService.from_message(message)
        yield server, dict(_real_servers(ipvs.dest("dump", service=asked)))


def _real_servers(messages: Any) -> Iterator[tuple[BackendId, int]]:  # noqa: ANN401  no types
    for message in messages:
        said = message.get_attr("IPVS_CMD_ATTR_DEST")
        address = ip_address(said.get_attr("IPVS_DEST_ATTR_ADDR"))
        backend = BackendId(address, said.get_attr("IPVS_DEST_ATTR_PORT"))
        yield backend, said.get_attr("IPVS_DEST_ATTR_WEIGHT")

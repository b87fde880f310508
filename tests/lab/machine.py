"""A machine of the lab: a namespace of its own, plugged into the lab's bridge.

It must never be reachable but by that bridge.
"""

from __future__ import annotations

from tests.lab.namespaces import Namespace

BRIDGE = "br0"


class Machine:
    """One machine; `number` is the last part of its addresses. An object can be made again.

    `kind` says how its namespace is entered.
    """

    def __init__(
        self, lab: Namespace, name: str, number: int, kind: type[Namespace] = Namespace
    ) -> None:
        self.address = f"10.90.0.{number}"
        self.address6 = f"fd00:90::{number:x}"
        self.namespace = kind(f"{lab.name}-{name}")
        self._lab = lab
        self._link = f"b{number}"
        self._mac = f"02:00:00:00:00:{number:02x}"

    def add(self) -> None:
        """Make it, and plug it in."""
        self.namespace.add()
        # The address says the MAC: whoever knew the last owner of an address reaches the next.
        self._lab.ip(
            f"link add {self._link} type veth peer name eth0 address {self._mac}"
            f" netns {self.namespace.name}",
            f"link set {self._link} master {BRIDGE} up",
        )
        self.namespace.ip(
            "link set eth0 up",
            f"addr add {self.address}/24 dev eth0",
            f"addr add {self.address6}/64 dev eth0 nodad",
            "route add default via 10.90.0.1",
        )

    def end(self) -> None:
        """End every process on it, and unplug it."""
        if self.namespace.exists:
            # At once: with the namespace it would go some time later, and its name be taken.
            self._lab.ip(f"link delete {self._link}")
        self.namespace.end()

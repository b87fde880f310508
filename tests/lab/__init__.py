"""The lab: a real control plane, a node whose kernel has IPVS, and backends, on one machine.

It must never touch anything outside of its own network namespaces and its own state.
"""

from tests.lab.audit import AuditRecord
from tests.lab.backend import Backend
from tests.lab.errors import LabError
from tests.lab.lab import Lab
from tests.lab.node import Node, NodeResponse
from tests.lab.waiting import wait_for

__all__ = ["AuditRecord", "Backend", "Lab", "LabError", "Node", "NodeResponse", "wait_for"]

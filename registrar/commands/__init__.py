"""Commands that need nothing constructed: they ask the running program, or a node's kernel."""

from registrar.commands.completion import completion
from registrar.commands.drain import drain, undrain
from registrar.commands.ipvs import ipvs
from registrar.commands.resync import resync
from registrar.commands.status import status

COMMANDS = (completion, drain, ipvs, resync, status, undrain)

__all__ = ["COMMANDS"]

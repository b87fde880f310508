"""The commands, one idea a file."""

from registrar.commands.completion import completion
from registrar.commands.drain import drain, undrain
from registrar.commands.health import health
from registrar.commands.ipvs import ipvs
from registrar.commands.offline import render, schema, validate
from registrar.commands.once import once, plan
from registrar.commands.resync import resync
from registrar.commands.run import demo_, run
from registrar.commands.status import status
from registrar.commands.version import version

COMMANDS = (
    completion,
    demo_,
    drain,
    health,
    ipvs,
    once,
    plan,
    render,
    resync,
    run,
    schema,
    status,
    undrain,
    validate,
    version,
)

__all__ = ["COMMANDS"]

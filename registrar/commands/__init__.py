"""Commands that ask the running program, through its unix socket."""

from registrar.commands.resync import resync

__all__ = ["resync"]

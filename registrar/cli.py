"""The commands, and how they end: each says what it did in words, and by its exit status.

0 all in place, 1 something differs or is held, 2 configuration or usage, 3 nobody to ask: no
cluster, no running registrar or no IPVS table; 70 a defect of registrar. A defect is said in one
line; where standard error is no terminal, the log record before that line holds the traceback.
"""

from __future__ import annotations

import sys

import click
import structlog

import registrar
from registrar.commands import Commands
from registrar.errors import (
    ClusterError,
    ClusterUnreachable,
    ConfigError,
    LeaseForbidden,
    NoTable,
    NotRunning,
    RangesForbidden,
    Unauthorized,
)
from registrar.logs import configure_logs, in_one_line
from registrar.output import complain

BAD_CONFIGURATION, NO_CLUSTER, DEFECT = 2, 3, 70

_REMEDIES: dict[type[ClusterError], str] = {
    ClusterUnreachable: "; check the server in the kubeconfig, and the way to it",
    Unauthorized: "; check the credentials in the kubeconfig",
}

log = structlog.get_logger()


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(registrar.__version__, prog_name="registrar")
def cli() -> None:
    """Keep Kubernetes Services without a selector pointed at backends outside the cluster."""


def main() -> None:
    """Run the command line, and turn whatever it raises into words and a status."""
    configure_logs()
    try:
        cli(prog_name="registrar")
    except ConfigError as error:
        complain(str(error))
        sys.exit(BAD_CONFIGURATION)
    except (RangesForbidden, LeaseForbidden) as error:
        complain(f"registrar: {error}")
        sys.exit(BAD_CONFIGURATION)
    except (NotRunning, NoTable) as error:
        complain(f"registrar: {error}")
        sys.exit(NO_CLUSTER)
    except ClusterError as error:
        remedy = next((text for kind, text in _REMEDIES.items() if isinstance(error, kind)), "")
        complain(f"registrar: {error}{remedy}")
        sys.exit(NO_CLUSTER)
    except Exception as error:  # a traceback on the screen helps nobody who uses registrar
        remedy = "report it, with the log"
        if sys.stderr.isatty():
            remedy += " that the same command with 2>registrar.log leaves"
        else:
            log.critical("internal-error", exc_info=error)
        complain(f"registrar: internal error: {in_one_line(error)}; {remedy}")
        sys.exit(DEFECT)

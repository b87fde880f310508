"""Structured logs on standard error: for people on a terminal, else one JSON object a line.

The JSON of a defect holds the traceback; a terminal shows the defect in one line.
"""

from __future__ import annotations

import contextlib
import io
import logging
import sys
import traceback
from pathlib import Path
from typing import TextIO, cast

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger


def configure_logs(*, quiet: bool = False) -> None:
    """Set up logging for the whole process; `quiet` leaves out what is no warning."""
    terminal = sys.stderr.isatty()
    stream = cast("TextIO", _Patient(sys.stderr))
    prepare: list[Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _shorten if terminal else structlog.processors.format_exc_info,
    ]
    render: Processor = (
        structlog.dev.ConsoleRenderer() if terminal else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[*prepare, render],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.WARNING if quiet else logging.INFO
        ),
        logger_factory=structlog.PrintLoggerFactory(stream),
        cache_logger_on_first_use=True,
    )
    others = logging.StreamHandler(stream)  # what the libraries say, in the same form
    others.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *prepare],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render],
            keep_exc_info=False,
        )
    )
    logging.basicConfig(level=logging.WARNING, handlers=[others])


def in_one_line(error: BaseException) -> str:
    """Return what an unexpected error is, and where it came from."""
    (said,) = traceback.format_exception_only(error)[-1:]
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    return " ".join(said.split()) + place


class _Patient(io.TextIOBase):
    """A stream that may lose what it is given: where the disk is full, all but the log goes on."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            self._stream.flush()


def _shorten(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    error = event.pop("exc_info", None)
    if isinstance(error, tuple):
        error = error[1]
    elif error is True:
        error = sys.exc_info()[1]
    if isinstance(error, BaseException):
        event["error"] = in_one_line(error)
    return event

"""Structured logs on standard error: for people on a terminal, else one JSON object a line.

The JSON of a defect holds the traceback; the console shows the defect in one line. Whatever others
say, a source or a library, a record is one line, and moves no cursor.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import sys
import traceback
from typing import TextIO, cast

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from registrar.defects import where

FORMATS = ("console", "json")
LEVELS = ("info", "warning", "error")


def configure_logs(*, form: str | None = None, level: str = "info") -> None:
    """Set up logging for the whole process, again if it was.

    `form` is one of FORMATS; None: as suits where standard error goes. `level` is one of LEVELS.
    """
    is_terminal = sys.stderr.isatty()
    is_console = is_terminal if form is None else form == "console"
    stream = cast("TextIO", _Patient(sys.stderr))
    prepare: list[Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        *((_shorten, _tame) if is_console else (structlog.processors.format_exc_info,)),
    ]
    has_colours = is_terminal and not os.environ.get("NO_COLOR")
    render: Processor = (
        structlog.dev.ConsoleRenderer(colors=has_colours)
        if is_console
        else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[*prepare, render],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
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
    logging.basicConfig(level=logging.WARNING, handlers=[others], force=True)


def in_one_line(error: BaseException) -> str:
    """Return what an unexpected error is, and where it came from."""
    (said,) = traceback.format_exception_only(error)[-1:]
    place = where(error)
    return " ".join(said.split()) + (f" ({place})" if place else "")


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


def _tame(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    # JSON escapes by itself, and what is no text is shown as Python writes it, escaped as well.
    return {
        visible(key): visible(value) if isinstance(value, str) else value
        for key, value in event.items()
    }


def visible(text: str) -> str:
    """Return a text in one line, with what can't be printed as Python writes it."""
    if text.isprintable():
        return text
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode() for one in text
    )

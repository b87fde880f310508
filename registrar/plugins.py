"""Finds source plugins by the entry-point group `registrar.sources`, built-in ones like any other.

It loads only what the configuration names.
"""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import Any

from registrar.errors import RegistrarError
from registrar.source import Source

GROUP = "registrar.sources"

SourceClass = type[Source[Any, Any]]


class PluginError(RegistrarError):
    """A source plugin is installed but can't be used."""


def installed_sources() -> dict[str, EntryPoint]:
    """Return the installed source types by name."""
    return {point.name: point for point in entry_points(group=GROUP)}


def load_source(point: EntryPoint) -> SourceClass:
    """Return the class of a source type. Raise PluginError if the plugin is broken."""
    try:
        loaded = point.load()
    except Exception as error:
        raise PluginError(f"plugin {point.value!r} can't be loaded: {error}") from error
    if not (isinstance(loaded, type) and issubclass(loaded, Source)):
        raise PluginError(f"plugin {point.value!r} is no registrar.source.Source")
    return loaded

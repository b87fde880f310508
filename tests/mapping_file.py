"""A configuration with one mapping, for tests of what its settings are read into."""

from __future__ import annotations

from pathlib import Path

CONFIG = """\
sources: {{racks: {{type: static, files: [a]}}, agents: {{type: consul, url: 'http://a.example'}}}}
defaults: {{health: {defaults}}}
services:
- service: a/b
  from: {{source: {source}{query}}}
  health: {health}
"""
"""A setting of `health` stands in line 6, from column 11 on."""


def written(folder: Path, health: str, defaults: str = "{}", *, told: bool = False) -> Path:
    """Write a configuration; with `told` its source says whether backends are healthy."""
    source, query = ("agents", ", service: b") if told else ("racks", "")
    file = folder / "registrar.yaml"
    file.write_text(CONFIG.format(health=health, defaults=defaults, source=source, query=query))
    return file

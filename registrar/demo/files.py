"""The demo's folder: the configuration, and the file of backends that a person may edit."""

from __future__ import annotations

from pathlib import Path

from registrar.demo.backends import PORT, DemoBackend

CONFIG = """\
# The demo's configuration. backends.yaml beside it is what you may edit while it runs.
instance: demo
sources:
  files: {type: static, files: [backends.yaml]}
defaults:
  health: {type: tcp, interval: 500ms, timeout: 400ms, rise: 2, fall: 2}
services:
  - service: shop/web
    from: {source: files, group: web}
    create: {port: 80}
  - service: shop/mysql
    from: {source: files, group: mysql}
    create: {port: 3306}
"""


def write(
    folder: Path, web: list[DemoBackend], mysql: list[DemoBackend], spare: DemoBackend
) -> Path:
    """Write the files; return the configuration's path."""
    lines = [
        "# The demo's backends. Save a change, and watch.",
        *_group("web", web),
        f"  # - {spare.address}:{PORT}    this one runs as well: take the # away",
        *_group("mysql", mysql),
    ]
    (folder / "backends.yaml").write_text("\n".join(lines) + "\n")
    config = folder / "registrar.yaml"
    config.write_text(CONFIG)
    return config


def _group(name: str, backends: list[DemoBackend]) -> list[str]:
    return [f"{name}:", *(f"  - {backend.address}:{PORT}" for backend in backends)]

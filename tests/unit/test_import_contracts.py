"""A contract that means "everything but …" must name everything, also what came later."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
MODULES = {
    f"registrar.{path.stem}"
    for path in (ROOT / "registrar").iterdir()
    if (path.suffix == ".py" and path.name != "__init__.py") or (path / "__init__.py").is_file()
}


def contract(beginning: str) -> dict[str, Any]:
    with (ROOT / "pyproject.toml").open("rb") as file:
        contracts = tomllib.load(file)["tool"]["importlinter"]["contracts"]
    (found,) = (c for c in contracts if c["name"].startswith(beginning))
    return dict(found)


@pytest.mark.parametrize(
    ("beginning", "field", "but"),
    [
        ("a source imports only", "forbidden_modules", {"source", "model", "errors"}),
        ("decide is pure", "forbidden_modules", {"decide", "model", "errors"}),
        ("only app constructs", "source_modules", {"app", "cli", "commands", "__main__"}),
        ("the embedded API server stands alone", "forbidden_modules", {"embedded"}),
        (
            "only the commands use the embedded",
            "source_modules",
            {"app", "cli", "commands", "__main__", "embedded"},
        ),
    ],
)
def test_a_contract_names_every_module(beginning: str, field: str, but: set[str]) -> None:
    named = {name for name in contract(beginning)[field] if name.startswith("registrar.")}
    expected = MODULES - {f"registrar.{name}" for name in but}
    assert named == expected, f"pyproject.toml, contract {beginning!r}: {named ^ expected}"


def test_the_modules_are_found() -> None:
    assert {"registrar.model", "registrar.decide", "registrar.__main__"} <= MODULES

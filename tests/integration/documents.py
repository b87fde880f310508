"""The command blocks of a page, run one after the other in one shell, and what they ought to print.

It must never change a command: what a reader copies is what runs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.lab import Lab

ROOT = Path(__file__).parents[2]
MARK = "@@ the end of a block @@"
_BLOCK = re.compile(r"^```sh\n(.*?)^```$(?:\s*^```text\n(.*?)^```$)?", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """Commands, and what they print; None: the page doesn't say."""

    commands: str
    prints: str | None


def blocks(page: str) -> list[Block]:
    """Return the command blocks of a page, in their order."""
    text = (ROOT / page).read_text()
    return [Block(found[1], found[2]) for found in _BLOCK.finditer(text)]


def pages_with_commands() -> set[str]:
    """Return the pages for users that have a command block."""
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    return {str(page.relative_to(ROOT)) for page in pages if "```sh\n" in page.read_text()}


def run(
    lab: Lab,
    page: str,
    environment: dict[str, str],
    prepare: str,
    reads: Mapping[str, str] | None = None,
) -> None:
    """Run the blocks of a page, after `prepare`; fail where one fails, or prints something else.

    `reads`: what stands in the page, and what a person who put their own there reads instead.
    """
    found = blocks(page)
    script = "\n".join(f"{block.commands}echo '{MARK}'" for block in found)
    done = lab.run(
        ["bash", "-ec", f"{prepare}\necho '{MARK}'\n{script}"],
        env=environment,
        timeout=180,
    )
    _, *printed = done.stdout.split(f"{MARK}\n")
    said = f"{done.stdout}\n{done.stderr}"
    assert done.returncode == 0, said
    for block, text in zip(found, printed, strict=False):
        if block.prints is not None:
            wanted = block.prints
            for old, new in (reads or {}).items():
                wanted = wanted.replace(old, new)
            assert _matches(wanted, text), f"{block.commands}printed:\n{text}"


def _matches(wanted: str, text: str) -> bool:
    """Whether a text is what is wanted, where `…` stands for anything and spaces count as one."""
    pattern = ".*".join(re.escape(" ".join(part.split(" "))) for part in _lines(wanted).split("…"))
    return re.fullmatch(pattern, _lines(text)) is not None


def _lines(text: str) -> str:
    return "\n".join(" ".join(line.split()) for line in text.strip().splitlines())

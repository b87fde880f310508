"""A secret's file: what is taken for a secret, and that no message tells what it holds."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from registrar.errors import SourceError
from registrar.source import Context, read_secret
from registrar.threads import in_thread
from registrar.tokens import MOST_SECRET_BYTES
from tests.fakes import NoFiles
from tests.unprivileged import unprivileged


async def read(base: Path, content: bytes | None = None) -> str:
    if content is not None:
        (base / "token").write_bytes(content)
    return await read_secret(Context(base, NoFiles(), in_thread), "token")


async def refusal(base: Path, content: bytes | None = None) -> str:
    with pytest.raises(SourceError) as caught:
        await read(base, content)
    return str(caught.value).replace(f"{base}/", "")


async def test_it_is_stripped_and_read_anew_each_time(tmp_path: Path) -> None:
    assert await read(tmp_path, b" s3cr3t-1 \r\n") == "s3cr3t-1"
    assert await read(tmp_path, b"s3cr3t-2") == "s3cr3t-2"
    assert await read(tmp_path, b"x" * MOST_SECRET_BYTES) == "x" * MOST_SECRET_BYTES


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "token: the secret is empty; write it into the file"),
        (b" \n\n", "token: the secret is empty; write it into the file"),
        (b"s3cr3t\r\nX-Admin: yes", None),
        (b"s3cr3t\ns3cr3t", None),
        (b"s3cr3t\0", None),
        ("s3cr3t-ä".encode(), None),
        (b"s3cr3t" * MOST_SECRET_BYTES, "token: too large for a secret; check the path"),
    ],
)
async def test_what_is_no_secret(tmp_path: Path, content: bytes, said: str | None) -> None:
    line = "token: the secret is not one line of printable ASCII; write nothing else into it"
    assert await refusal(tmp_path, content) == (said or line)


async def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    said = "token: the secret can't be read: {}; check the path and permissions"
    assert await refusal(tmp_path) == said.format("No such file or directory")
    os.mkfifo(tmp_path / "token")
    assert await refusal(tmp_path) == said.format("not a regular file")
    with unprivileged() as own:
        (own / "token").write_text("s3cr3t")
        (own / "token").chmod(0)
        assert await refusal(own) == said.format("Permission denied")

"""Images made of busybox alone, written as `docker save` writes them.

It must never need a daemon or a registry.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from tests.lab.errors import LabError

APPLETS = ("sh", "mkdir", "httpd", "sleep", "cat", "rm", "touch", "wget")


def image(path: Path, name: str, command: Sequence[str]) -> None:
    """Write an image to `path`: its name with a tag, and the command that it runs."""
    layer = io.BytesIO()
    files(layer)
    digest = hashlib.sha256(layer.getvalue()).hexdigest()
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Cmd": list(command), "Env": ["PATH=/bin"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
    }
    manifest = [{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]
    with tarfile.open(path, "w") as tar:
        add(tar, "config.json", json.dumps(config).encode())
        add(tar, "layer.tar", layer.getvalue())
        add(tar, "manifest.json", json.dumps(manifest).encode())


def files(target: IO[bytes], more: Mapping[str, bytes] | None = None) -> None:
    """Write the files of a system to a tar: busybox, its applets, and `more`."""
    busybox = shutil.which("busybox")
    if busybox is None:
        raise LabError("busybox is missing")
    with tarfile.open(fileobj=target, mode="w") as tar:
        for name, content in {"bin/busybox": Path(busybox).read_bytes(), **(more or {})}.items():
            add(tar, name, content)
        for applet in APPLETS:
            link = tarfile.TarInfo(f"bin/{applet}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)


def add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    """Add an executable file to a tar."""
    file = tarfile.TarInfo(name)
    file.size, file.mode = len(content), 0o755
    tar.addfile(file, io.BytesIO(content))

"""The README's quickstart, as it stands there."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

from tests.integration.site import Site, place

ROOT = Path(__file__).parents[2]


def test_the_quickstart_works(site: Site) -> None:
    first, second = site.backend("first"), site.backend("second")
    lines = re.search(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert lines is not None
    shutil.copytree(ROOT / "config", site.folder / "config")
    # A person puts their own addresses; the namespace is a test's own.
    for name, old, new in (
        ("backends.yaml", "10.20.1.1", first.address),
        ("backends.yaml", "10.20.1.2", second.address),
        ("registrar.yaml", "default/", f"{site.namespace}/"),
    ):
        file = site.folder / "config" / "examples" / name
        assert old in file.read_text()
        file.write_text(file.read_text().replace(old, new))
    shutil.copy(site.lab.kubeconfig(), site.folder / "kubeconfig")
    kubeconfig = site.folder / "kubeconfig"
    environment = {
        "KUBECONFIG": str(kubeconfig),
        "PATH": f"{Path(sys.executable).parent}:{site.lab.environment()['PATH']}",
    }
    prepare = f"cd {site.folder}; kubectl config set-context --current --namespace={site.namespace}"
    done = site.lab.run(["sh", "-exc", f"{prepare}\n{lines[1]}"], env=environment)
    assert done.returncode == 0, done.stderr
    assert "registrar.yaml: valid, 1 mapping(s)" in done.stdout
    assert f"{place(first)},{place(second)}" in done.stdout

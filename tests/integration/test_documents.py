"""What README and docs/ tell a reader to type, as it stands there, on the lab's cluster."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from tests.integration import documents
from tests.integration.site import Site
from tests.lab.build import CONSUL, built

ROOT = Path(__file__).parents[2]


def environment(site: Site, *more: Path) -> dict[str, str]:
    """Return what a person has: a kubeconfig of their own, and the commands."""
    kubeconfig = site.folder / "kubeconfig"
    shutil.copy(site.lab.kubeconfig(), kubeconfig)
    path = (Path(sys.executable).parent, *more, site.lab.environment()["PATH"])
    return {"KUBECONFIG": str(kubeconfig), "PATH": ":".join(map(str, path))}


def test_every_page_with_commands_is_run() -> None:
    here = {"README.md", "docs/tutorial.md"}
    deployment = {"docs/installing.md", "docs/uninstalling.md"}
    assert documents.pages_with_commands() == here | deployment


def test_the_quickstart_of_the_readme(site: Site) -> None:
    first, second = site.backend("first"), site.backend("second")
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
    here = f"cd {site.folder}; kubectl config set-context --current --namespace={site.namespace}"
    reads = {
        "10.20.1.1": first.address,
        "10.20.1.2": second.address,
        "default/": f"{site.namespace}/",
    }
    documents.run(site.lab, "README.md", environment(site), here, reads)


def test_the_tutorial(site: Site) -> None:
    commands = site.folder / "bin"
    commands.mkdir()
    (commands / "consul").symlink_to(built(CONSUL))
    documents.run(site.lab, "docs/tutorial.md", environment(site, commands), f"cd {site.folder}")

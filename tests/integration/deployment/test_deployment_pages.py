"""docs/installing.md and docs/uninstalling.md, as they stand, on a cluster of their own."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration import documents
from tests.integration.recorder import recording
from tests.integration.site import CONFIG, Site, place
from tests.integration.test_documents import environment
from tests.lab import Lab


@pytest.fixture
def own_lab() -> Iterator[Lab]:
    """Run a lab in which the namespace `registrar` is this test's alone."""
    with Lab.up() as running:
        yield running


def test_what_is_installed_serves_and_can_be_taken_away(own_lab: Lab, tmp_path: Path) -> None:
    lab = own_lab
    site = Site(lab, "shop", lab.new_user(), tmp_path)
    first, second = site.backend("first"), site.backend("second")
    places = {place(first): True, place(second): True}
    shutil.copytree(CONFIG, tmp_path / "config", symlinks=True)
    listed = tmp_path / "config" / "examples" / "backends.yaml"
    text = listed.read_text().replace("10.20.1.1", first.address)
    listed.write_text(text.replace("10.20.1.2", second.address))
    here = f"cd {tmp_path}"
    documents.run(lab, "docs/installing.md", environment(site), here)

    as_the_pod_does(site)
    run = site.start()
    for name in ("nginx", "web"):
        site.wait_for_served(name, places)
    with recording(site, "nginx") as seen:
        run.stop()  # what the page's first line has the Deployment's controller do
        documents.run(lab, "docs/uninstalling.md", environment(site), here)
    assert seen.gaps(frozenset(places)) == []
    assert site.served("nginx") == site.endpoints("nginx") == places
    assert site.own_slices("nginx") == site.slices("web") == []
    assert site.get("api/v1", "services", "web") is None
    assert site.endpoints("web") is None
    # It is nobody's now, also for a registrar of the same instance.
    done = lab.run(site.argv("plan", "--kubeconfig", lab.kubeconfig()))
    assert "not-ours" in done.stdout + done.stderr


def as_the_pod_does(site: Site) -> None:
    """Give the site what the kubelet gives the pod: the ConfigMap, and the account's token."""
    found = json.loads(site.lab.kubectl("-n", "registrar", "get", "configmap/registrar", "-ojson"))
    for name, text in found["data"].items():
        site.write(name, text)
    token = site.lab.kubectl("-n", "registrar", "create", "token", "registrar").strip()
    kubeconfig = site.lab.kubeconfig(site.user)
    config = json.loads(kubeconfig.read_text())
    config["users"][0]["user"]["token"] = token
    kubeconfig.write_text(json.dumps(config))

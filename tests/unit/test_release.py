"""What a release rests on: locks that are complete, a changelog, a note on each version."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from release.locks import DEV_LOCK, LOCK, ROOT, locked
from release.version import image_tag, version
from release.wheels import Target

HEADING = re.compile(
    r"^## (\S+)(?: \((\d{4}-\d\d-\d\d)\))?\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL
)
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


@pytest.mark.parametrize("file", [LOCK, DEV_LOCK])
def test_every_locked_package_has_hashes_and_no_index(file: Path) -> None:
    text = file.read_text()
    found = locked(file)
    assert len(found) == len(re.findall(r"^\w", text, re.MULTILINE))
    assert all(one.hashes for one in found.values())
    assert "://" not in text


@pytest.mark.parametrize(
    ("file", "requirements"),
    [
        (LOCK, PROJECT["project"]["dependencies"]),
        (DEV_LOCK, PROJECT["project"]["dependencies"] + PROJECT["dependency-groups"]["dev"]),
    ],
)
def test_what_the_project_needs_is_locked(file: Path, requirements: list[str]) -> None:
    found = locked(file)
    for wanted in map(Requirement, requirements):
        one = found[canonicalize_name(wanted.name)]
        assert Version(one.version) in wanted.specifier


def test_development_is_with_what_is_released() -> None:
    released, developed = locked(), locked(DEV_LOCK)
    assert {name: developed.get(name) for name in released} == released


def test_the_changelog_tells_of_the_version() -> None:
    entries = {name: text.strip() for name, _, text in HEADING.findall(_changelog())}
    built = Version(version())
    is_tagged = not (built.is_devrelease or built.local)
    assert entries[str(built) if is_tagged else "Unreleased"]


def test_each_released_version_has_its_note() -> None:
    notes = (ROOT / "docs" / "upgrading.md").read_text()
    for name, day, _ in HEADING.findall(_changelog()):
        assert name == "Unreleased" or day
        assert re.search(rf"^## To {re.escape(name)}$", notes, re.MULTILINE), f"no note on {name}"


def test_a_version_names_an_image() -> None:
    assert image_tag("0.1.0") == "0.1.0"
    assert image_tag("0.2.0.dev3+gabc") == "0.2.0.dev3-gabc"


def test_wheels_are_for_the_python_of_the_base() -> None:
    target = Target.parse("3.13.5 aarch64 2.36")
    assert target == Target("3.13", "aarch64", "2.36")
    options = target.options()
    assert "--python-version=3.13" in options
    assert "--platform=manylinux_2_36_aarch64" in options
    assert "--platform=manylinux_2_37_aarch64" not in options
    assert "--abi=abi3" in options


def test_a_base_without_glibc_is_refused() -> None:
    with pytest.raises(ValueError, match="glibc"):
        Target.parse("3.13.5 x86_64 ")


def _changelog() -> str:
    return (ROOT / "CHANGELOG.md").read_text()


def test_all_that_names_the_next_version_names_the_same() -> None:
    base = yaml.safe_load((ROOT / "config" / "base" / "kustomization.yaml").read_text())
    chart = yaml.safe_load((ROOT / "config" / "helm" / "registrar" / "Chart.yaml").read_text())
    page = (ROOT / "docs" / "installing.md").read_text()
    (wanted,) = {image["newTag"] for image in base["images"]}
    assert {chart["version"], chart["appVersion"]} == {wanted}
    assert set(re.findall(r"(?:registrar:|newTag: )(\d+\.\d+\.\d+)", page)) == {wanted}

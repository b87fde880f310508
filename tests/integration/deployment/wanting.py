"""The rights of docs/rights.md, and sites that lack one of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.integration.site import CONFIG, Site
from tests.lab import Lab
from tests.lab.lab import bound

PAGE = CONFIG.parent / "docs" / "rights.md"
_ROW = re.compile(r"^\| `(\w+)` \| `(\w+) (\w+)` \| [^|]+ \| (.+) \|$", re.MULTILINE)


@dataclass(frozen=True)
class Right:
    """A row of the page: a verb on a resource, and the event that tells that it is wanting."""

    folder: str
    verb: str
    resource: str
    told_by: str

    @property
    def namespace(self) -> str:
        return f"no-{self.verb}-{self.resource}-{self.folder}"

    def is_in(self, text: str) -> bool:
        """Whether a text says that this right is wanting, and what to grant."""
        words = f'cannot {self.verb} resource "{self.resource}" in API group "'
        return words in text and f"; grant config/rbac/{self.folder}" in text


def documented(*folders: str) -> list[Right]:
    """Return the rights that the page names, of these folders."""
    found = [
        Right(folder, verb, resource, told_by.strip("`"))
        for folder, verb, resource, told_by in _ROW.findall(PAGE.read_text())
    ]
    return [right for right in found if right.folder in folders]


def shipped(folder: str) -> list[dict[str, Any]]:
    """Return the Roles of a folder of config/rbac."""
    return list(yaml.safe_load_all((CONFIG / "rbac" / folder / "role.yaml").read_text()))


def roles(folder: str, *wanting: tuple[str, str]) -> Iterator[dict[str, Any]]:
    """Yield the Roles of a folder without some rights, each a verb and a resource."""
    for role in shipped(folder):
        for rule in role["rules"]:
            (resource,) = rule["resources"]
            rule["verbs"] = [verb for verb in rule["verbs"] if (verb, resource) not in wanting]
        role["rules"] = [rule for rule in role["rules"] if rule["verbs"]]
        yield role


def site(lab: Lab, folder: Path, namespace: str) -> Site:
    """Return a site whose user has no right yet."""
    folder.mkdir()
    return Site(lab, namespace, lab.new_user(), folder)


def given(site: Site, folder: str, *wanting: tuple[str, str]) -> list[dict[str, Any]]:
    """Return what gives a site's user the rights of a folder without some, under its own names."""
    found = list(bound(site.user, roles(folder, *wanting), site.namespace))
    for (
        one
    ) in found:  # what is the cluster's own is named for this user, for others have it as well
        if "rules" in one:
            one["metadata"]["name"] += f"-{site.user}"
        else:
            one["roleRef"]["name"] += f"-{site.user}"
    return found

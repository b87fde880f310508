"""Who wrote what, as chaos reads it in the API server's audit log: also where a record is lost."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from registrar.embedded.values import Object
from tests.integration.chaos.authors import Authors
from tests.integration.chaos.history import Stored

MIRRORING = "kube-controller-manager/v1.37.2 (linux/amd64)/endpointslicemirroring-controller"
ANSWER: Object = {"metadata": {"resourceVersion": "7"}}


def stored(type_: str = "MODIFIED", revision: int = 7) -> Stored:
    item: Object = {"metadata": {"name": "web", "uid": "u1"}}
    return Stored(revision, 0.0, type_, "endpoints", "web", item, item)


class Log:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.authors = Authors(path, {"registrar-0": "registrar/a", "registrar-1": "registrar/b"})

    def says(
        self,
        stage: str,
        verb: str = "update",
        *,
        user: str = "registrar-0",
        agent: str = "registrar/0.1.0",
        answer: Object | None = None,
        id_: str = "1",
        code: int = 200,
    ) -> None:
        record = {
            "stage": stage,
            "verb": verb,
            "auditID": id_,
            "user": {"username": user},
            "userAgent": agent,
            "objectRef": {"namespace": "shop", "resource": "endpoints", "name": "web"},
            "responseStatus": {"code": code},
            "responseObject": answer,
        }
        with self.path.open("a") as file:
            file.write(json.dumps(record) + "\n")
        self.authors.read()


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path / "audit.log")


def test_a_write_is_known_by_the_version_that_it_made(log: Log) -> None:
    assert log.authors.of(stored()) is None
    log.says("ResponseComplete", answer=ANSWER)
    assert log.authors.of(stored(revision=6)) is None
    assert log.authors.of(stored()) == "registrar/a"


def test_a_deletion_is_known_by_the_uid_of_what_is_gone(log: Log) -> None:
    log.says("ResponseComplete", "delete", answer={"details": {"uid": "u1"}})
    assert log.authors.of(stored("DELETED", 9)) == "registrar/a"


@pytest.mark.parametrize(
    ("user", "agent", "by"),
    [
        ("registrar-1", "registrar/0.1.0", "registrar/b"),
        ("admin", "kubectl/v1.37.2", "hands"),
        ("admin", MIRRORING, "endpointslicemirroring-controller.k8s.io"),
        ("admin", "kube-controller-manager/v1.37.2/endpoint-controller", ""),
    ],
)
def test_everybody_is_told_apart(log: Log, user: str, agent: str, by: str) -> None:
    log.says("ResponseComplete", user=user, agent=agent, answer=ANSWER)
    assert log.authors.of(stored()) == by


def test_a_write_whose_record_was_lost_was_asked_for_and_never_answered(log: Log) -> None:
    log.says("RequestReceived", id_="1", user="registrar-0")
    log.says("ResponseComplete", id_="1", user="registrar-0", code=409)
    log.says("RequestReceived", id_="2", verb="delete", user="registrar-0")
    log.says("RequestReceived", id_="3", user="registrar-1")
    assert log.authors.of(stored()) is None
    assert log.authors.guess(stored()) == "registrar/b"
    assert log.authors.guess(stored()) is None, "each accounts for one write"
    assert log.authors.guesses == 2


def test_half_a_record_is_waited_for(log: Log) -> None:
    log.says("ResponseComplete", answer=ANSWER)
    whole = log.path.read_text()
    later = Log(log.path.with_name("later.log"))
    later.path.write_text(whole[:40])
    later.authors.read()
    later.path.write_text(whole)
    later.authors.read()
    assert later.authors.of(stored()) == "registrar/a"

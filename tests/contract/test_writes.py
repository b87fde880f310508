"""Creating, replacing and deleting, and what stands against it."""

from __future__ import annotations

import re

import pytest

from tests.contract.api import Api, place
from tests.contract.objects import endpoints, lease, service, slice_, with_subsets

NOBODY = "123e4567-e89b-12d3-a456-426614174000"
MODIFIED = (
    "the object has been modified; please apply your changes to the latest version and try again"
)


def test_endpoints_are_stored_as_sent(api: Api, ns: str) -> None:
    ports = [{"name": "b", "port": 81}, {"name": "a", "port": 80, "protocol": "UDP"}]
    addresses = [{"ip": "10.1.1.2"}, {"ip": "10.1.1.1"}, {"ip": "10.1.1.2"}]
    same = {"addresses": [{"ip": "10.1.1.1"}], "notReadyAddresses": [{"ip": "10.1.1.1"}]}
    subsets = [{"addresses": addresses, "ports": ports}, same, same]
    made = api.post(place(ns, "endpoints"), with_subsets("a", subsets))
    assert made.status == 201
    ports[0]["protocol"] = "TCP"
    assert made.json["subsets"] == subsets
    assert api.get(place(ns, "endpoints", "a")).json == made.json


def test_a_new_object_gets_what_only_the_server_gives(api: Api, ns: str) -> None:
    body = endpoints("a", uid=NOBODY, creationTimestamp="2020-01-01T00:00:00Z", selfLink="/x")
    meta = api.post(place(ns, "endpoints"), body).meta
    assert meta["uid"] != NOBODY
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", meta["creationTimestamp"])
    assert not meta["creationTimestamp"].startswith("2020")
    assert int(meta["resourceVersion"]) > 0
    assert meta["namespace"] == ns
    assert "generation" not in meta


def test_versions_grow_over_all_kinds(api: Api, ns: str) -> None:
    first = int(api.post(place(ns, "endpoints"), endpoints("a")).meta["resourceVersion"])
    second = int(api.post(place(ns, "leases"), lease("a")).meta["resourceVersion"])
    assert second > first


def test_a_name_is_generated(api: Api, ns: str) -> None:
    made = api.post(place(ns, "endpoints"), endpoints(generateName="gen-"))
    assert made.status == 201
    assert re.fullmatch(r"gen-[a-z0-9]{5}", made.meta["name"])
    assert made.meta["generateName"] == "gen-"


def test_a_name_is_needed(api: Api, ns: str) -> None:
    refused = api.post(place(ns, "endpoints"), endpoints())
    words = "metadata.name: Required value: name or generateName is required"
    assert (refused.status, refused.message) == (422, f'Endpoints "" is invalid: {words}')


def test_there_is_one_of_a_name(api: Api, ns: str) -> None:
    api.post(place(ns, "endpoints"), endpoints("a"))
    again = api.post(place(ns, "endpoints"), endpoints("a"))
    assert again.status == 409
    assert again.json == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": 'endpoints "a" already exists',
        "reason": "AlreadyExists",
        "details": {"name": "a", "kind": "endpoints"},
        "code": 409,
    }


def test_what_is_not_there_is_not_found(api: Api, ns: str) -> None:
    missing = api.get(place(ns, "endpointslices", "a"))
    assert missing.status == 404
    assert missing.json["reason"] == "NotFound"
    assert missing.message == 'endpointslices.discovery.k8s.io "a" not found'
    details = {"name": "a", "group": "discovery.k8s.io", "kind": "endpointslices"}
    assert missing.json["details"] == details


@pytest.mark.parametrize(
    ("plural", "body", "status"),
    [
        ("endpoints", endpoints("a"), 201),
        ("services", service("a", {"port": 80}), 201),
        ("leases", lease("a", holderIdentity="x"), 201),
        ("endpointslices", slice_("a"), 404),
    ],
)
def test_which_kinds_an_update_creates(
    api: Api, ns: str, plural: str, body: dict[str, object], status: int
) -> None:
    assert api.put(place(ns, plural, "a"), body).status == status


@pytest.mark.parametrize(
    ("plural", "body", "folder"),
    [
        ("endpoints", endpoints("a", uid=NOBODY), "services/endpoints"),
        ("leases", lease("a") | {"metadata": {"name": "a", "uid": NOBODY}}, "leases"),
        (
            "services",
            service("a", {"port": 80}) | {"metadata": {"name": "a", "uid": NOBODY}},
            "services/specs",
        ),
    ],
)
def test_an_update_with_the_uid_of_something_gone_is_refused(
    api: Api, ns: str, plural: str, body: dict[str, object], folder: str
) -> None:
    refused = api.put(place(ns, plural, "a"), body)
    full = plural + (".coordination.k8s.io" if plural == "leases" else "")
    assert refused.status == 409
    assert refused.json["reason"] == "Conflict"
    assert refused.message == (
        f'Operation cannot be fulfilled on {full} "a": StorageError: invalid object, Code: 4, '
        f"Key: /registry/{folder}/{ns}/a, ResourceVersion: 0, AdditionalErrorMsg: Precondition "
        f"failed: UID in precondition: {NOBODY}, UID in object meta: "
    )


def test_an_update_of_a_slice_that_is_gone_finds_nothing(api: Api, ns: str) -> None:
    body = slice_("a") | {"metadata": {"name": "a", "uid": NOBODY, "resourceVersion": "7"}}
    assert api.put(place(ns, "endpointslices", "a"), body).status == 404


def test_an_update_with_another_uid_is_refused(api: Api, ns: str) -> None:
    uid = api.post(place(ns, "endpoints"), endpoints("a")).meta["uid"]
    refused = api.put(place(ns, "endpoints", "a"), endpoints("a", uid=NOBODY))
    assert refused.status == 409
    assert refused.message.endswith(f"UID in precondition: {NOBODY}, UID in object meta: {uid}")


def test_an_update_of_endpoints_deleted_meanwhile_creates_them_but_for_its_uid(
    api: Api, ns: str
) -> None:
    old = api.post(place(ns, "endpoints"), endpoints("a")).json
    api.delete(place(ns, "endpoints", "a"))
    assert api.put(place(ns, "endpoints", "a"), old).status == 409
    del old["metadata"]["uid"]
    assert api.put(place(ns, "endpoints", "a"), old).status == 201


def test_an_update_of_an_old_version_is_refused(api: Api, ns: str) -> None:
    api.post(place(ns, "endpoints"), endpoints("a"))
    refused = api.put(place(ns, "endpoints", "a"), endpoints("a", resourceVersion="1"))
    message = f'Operation cannot be fulfilled on endpoints "a": {MODIFIED}'
    assert (refused.status, refused.json["reason"]) == (409, "Conflict")
    assert refused.message == message
    assert refused.json["details"] == {"name": "a", "kind": "endpoints"}


def test_an_update_without_a_version_is_taken(api: Api, ns: str) -> None:
    made = api.post(place(ns, "endpoints"), endpoints("a"))
    changed = api.put(place(ns, "endpoints", "a"), endpoints("a", "10.1.1.9"))
    assert changed.status == 200
    assert changed.json["subsets"][0]["addresses"] == [{"ip": "10.1.1.9"}]
    assert int(changed.meta["resourceVersion"]) > int(made.meta["resourceVersion"])
    same = ("uid", "creationTimestamp")
    assert [changed.meta[key] for key in same] == [made.meta[key] for key in same]


def test_an_update_of_a_lease_without_a_version_is_refused(api: Api, ns: str) -> None:
    api.post(place(ns, "leases"), lease("a"))
    refused = api.put(place(ns, "leases", "a"), lease("a", holderIdentity="x"))
    words = "metadata.resourceVersion: Invalid value: 0: must be specified for an update"
    assert refused.status == 422
    assert refused.message == f'leases.coordination.k8s.io "a" is invalid: {words}'


@pytest.mark.parametrize("version", ["kept", "left out"])
def test_an_update_that_changes_nothing_is_none(api: Api, ns: str, version: str) -> None:
    made = api.post(place(ns, "endpoints"), endpoints("a"))
    body = made.json if version == "kept" else endpoints("a")
    same = api.put(place(ns, "endpoints", "a"), body)
    assert same.status == 200
    assert same.meta["resourceVersion"] == made.meta["resourceVersion"]


def test_a_version_that_is_no_number(api: Api, ns: str) -> None:
    api.post(place(ns, "endpoints"), endpoints("a"))
    refused = api.put(place(ns, "endpoints", "a"), endpoints("a", resourceVersion="abc"))
    message = 'strconv.ParseUint: parsing "abc": invalid syntax'
    assert (refused.status, refused.message) == (500, message)


def test_a_new_object_has_no_version_yet(api: Api, ns: str) -> None:
    refused = api.post(place(ns, "endpoints"), endpoints("a", resourceVersion="7"))
    message = "resourceVersion should not be set on objects to be created"
    assert (refused.status, refused.message) == (500, message)


def test_names_agree_with_the_path(api: Api, ns: str) -> None:
    other = api.put(place(ns, "endpoints", "b"), endpoints("a"))
    message = "the name of the object (a) does not match the name on the URL (b)"
    assert (other.status, other.message) == (400, message)
    none = api.put(place(ns, "endpoints", "b"), endpoints())
    message = "the name of the object (b based on URL) was undeterminable: name must be provided"
    assert (none.status, none.message) == (400, message)
    for answer in (
        api.post(place(ns, "endpoints"), endpoints("a", namespace="other")),
        api.put(place(ns, "endpoints", "a"), endpoints("a", namespace="other")),
    ):
        words = "does not match the namespace sent on the request"
        message = f"the namespace of the provided object {words}"
        assert (answer.status, answer.message) == (400, message)


def test_a_dry_run_stores_nothing(api: Api, ns: str) -> None:
    path = place(ns, "endpoints", "a")
    tried = api.post(place(ns, "endpoints"), endpoints("a"), dryRun="All")
    assert tried.status == 201
    assert "uid" in tried.meta
    assert "resourceVersion" not in tried.meta
    assert api.get(path).status == 404
    made = api.post(place(ns, "endpoints"), endpoints("a"))
    changed = api.put(path, endpoints("a", "10.1.1.9"), dryRun="All")
    assert changed.json["subsets"][0]["addresses"] == [{"ip": "10.1.1.9"}]
    assert api.delete(path, dryRun="All").status == 200
    assert api.get(path).json == made.json


def test_there_is_one_kind_of_dry_run(api: Api, ns: str) -> None:
    refused = api.post(place(ns, "endpoints"), endpoints("a"), dryRun="x")
    words = 'dryRun: Unsupported value: ["x"]: supported values: "All"'
    message = f'CreateOptions.meta.k8s.io "" is invalid: {words}'
    assert (refused.status, refused.message) == (422, message)


def test_the_generation_of_slices_counts_all_but_annotations(api: Api, ns: str) -> None:
    path = place(ns, "endpointslices", "a")
    item = api.post(place(ns, "endpointslices"), slice_("a", "10.1.1.1")).json
    assert item["metadata"]["generation"] == 1
    item["metadata"]["annotations"] = {"a": "b"}
    item = api.put(path, item).json
    assert item["metadata"]["generation"] == 1
    item["metadata"]["labels"] = {"a": "b"}
    item = api.put(path, item).json
    assert item["metadata"]["generation"] == 2
    item["endpoints"] = []
    item = api.put(path, item).json
    assert item["metadata"]["generation"] == 3


# --- deletion --------------------------------------------------------------------------------


def test_a_deletion_says_what_is_gone(api: Api, ns: str) -> None:
    uid = api.post(place(ns, "leases"), lease("a")).meta["uid"]
    gone = api.delete(place(ns, "leases", "a"))
    assert gone.status == 200
    details = {"name": "a", "group": "coordination.k8s.io", "kind": "leases", "uid": uid}
    assert (gone.json["status"], gone.json["details"]) == ("Success", details)
    assert api.delete(place(ns, "leases", "a")).status == 404


def test_the_deletion_of_a_service_returns_it(api: Api, ns: str) -> None:
    made = api.post(place(ns, "services"), service("a", {"port": 80})).json
    gone = api.delete(place(ns, "services", "a"))
    assert gone.json["spec"] == made["spec"]
    assert int(gone.meta["resourceVersion"]) > int(made["metadata"]["resourceVersion"])


def test_a_deletion_can_be_conditional(api: Api, ns: str) -> None:
    path = place(ns, "endpoints", "a")
    meta = api.post(place(ns, "endpoints"), endpoints("a")).meta
    uid, version = meta["uid"], meta["resourceVersion"]
    before = 'Operation cannot be fulfilled on Endpoints "a": the '
    wrong = api.delete(path, {"preconditions": {"uid": "x"}})
    assert (wrong.status, wrong.json["reason"]) == (409, "Conflict")
    assert wrong.message == (
        f"{before}UID in the precondition (x) does not match the UID in record ({uid}). The object"
        " might have been deleted and then recreated"
    )
    old = api.delete(path, {"preconditions": {"uid": uid, "resourceVersion": "1"}})
    assert old.status == 409
    assert old.message == (
        f"{before}ResourceVersion in the precondition (1) does not match the ResourceVersion in"
        f" record ({version}). The object might have been modified"
    )
    right = {"preconditions": {"uid": uid, "resourceVersion": version}}
    assert api.delete(path, right).status == 200
    assert api.delete(path, right).status == 404


def test_a_finalizer_delays_the_end(api: Api, ns: str) -> None:
    path = place(ns, "endpoints", "a")
    api.post(place(ns, "endpoints"), endpoints("a", finalizers=["example.com/hold"]))
    marked = api.delete(path)
    assert marked.json["metadata"]["deletionGracePeriodSeconds"] == 0
    assert "deletionTimestamp" in api.get(path).meta
    item = api.get(path).json
    item["metadata"]["finalizers"] = ["example.com/hold", "example.com/more"]
    words = (
        "metadata.finalizers: Forbidden: no new finalizers can be added if the object is being"
        ' deleted, found new finalizers []string{"example.com/more"}'
    )
    assert api.put(path, item).message == f'Endpoints "a" is invalid: {words}'
    del item["metadata"]["finalizers"]
    assert api.put(path, item).status == 200
    assert api.get(path).status == 404


def test_many_are_deleted_by_their_labels(api: Api, ns: str) -> None:
    for name, color in (("a", "red"), ("b", "blue"), ("c", "red")):
        api.post(place(ns, "endpoints"), endpoints(name, labels={"color": color}))
    gone = api.delete(place(ns, "endpoints"), labelSelector="color=red")
    assert gone.json["kind"] == "EndpointsList"
    assert [item["metadata"]["name"] for item in gone.json["items"]] == ["a", "c"]
    left = api.get(place(ns, "endpoints")).json["items"]
    assert [item["metadata"]["name"] for item in left] == ["b"]

"""What is asked of registrar: orders by HTTP and from other replicas, words of commands, checks."""

from __future__ import annotations

import asyncio
import base64
import json
import zlib
from pathlib import Path

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from registrar.admin.access import Access
from registrar.admin.drains import drain_order
from registrar.admin.handlers import _order
from registrar.admin.words import backend, service_key
from registrar.app.orders import _decoded, _Drain, _outcomes
from registrar.embedded import ApiServer, Request
from registrar.expect import Expectation
from registrar.model import CheckResult, Expected, Outcome
from registrar.probe.body import BodyConversation
from registrar.probe.exchange import Conversation
from registrar.probe.status import StatusConversation, Statuses
from registrar.probe.tcp import TcpConversation
from registrar.resync import Order
from tests.fuzz.declared import only
from tests.fuzz.mutation import bodies, mutated, texts

RESYNC = {"services": ["shop/web"], "acceptRemovals": True, "timeout": 5.0}
DRAIN = {"service": "shop/web", "backends": ["10.20.0.1:80"], "force": False, "timeout": 5}
PASSED_ON = {
    "by": "a",
    "namespace": "shop",
    "name": "web",
    "backends": ["10.20.0.1:80"],
    "out": True,
    "force": False,
    "timeout": 5,
}
SERVICE = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "web", "namespace": "default", "labels": {"a": "b"}},
    "spec": {"ports": [{"port": 80, "name": "http"}], "ipFamilies": ["IPv4"]},
}
PATHS = [
    "/api/v1/namespaces/default/services",
    "/api/v1/namespaces/default/services/web",
    "/api/v1/namespaces/default/endpoints/web",
    "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices",
    "/apis/coordination.k8s.io/v1/namespaces/default/leases",
]
MEDIA = [
    "json",
    "yaml",
    "merge-patch+json",
    "json-patch+json",
    "strategic-merge-patch+json",
    "apply-patch+yaml",
]


def clean(text: str) -> str:
    """Return what HTTP's own parser leaves of a path or a query: it is text by then."""
    return text.encode(errors="replace").decode()


ENDPOINTS = {
    "apiVersion": "v1",
    "kind": "Endpoints",
    "metadata": {"name": "web", "namespace": "default"},
    "subsets": [{"addresses": [{"ip": "10.20.0.1"}], "ports": [{"port": 80}]}],
}


@given(bodies(RESYNC))
def test_an_order_of_a_resync(body: bytes) -> None:
    with only(ValueError):
        assert 0 < _order(body, "me").timeout <= 600


@given(bodies(DRAIN))
def test_an_order_of_a_drain(body: bytes) -> None:
    with only(ValueError):
        assert drain_order(body, "me", out=True).backends


@pytest.fixture(scope="module")
def token(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("fuzz") / "token"
    file.write_text("s3cret")
    return file


@given(header=texts("Bearer s3cret"))
def test_a_token(token: Path, header: str) -> None:
    refusal = asyncio.run(Access(token).refuse(header))
    is_right = header.startswith("Bearer ") and header.removeprefix("Bearer ").strip() == "s3cret"
    assert (refusal is None) == is_right


@given(bodies(PASSED_ON, [], {"by": "a"}), st.booleans())
def test_an_order_of_another_replica(body: bytes, is_packed: bool) -> None:  # noqa: FBT001  drawn
    packed = base64.b64encode(zlib.compress(body)).decode()
    text = packed if is_packed else body.decode(errors="replace")
    for read in (
        lambda: _decoded(text, _Drain),
        lambda: _decoded(text, Order),
        lambda: _outcomes(text),
    ):
        with only(ValueError):
            read()


@given(texts("10.20.0.1:80", "[2001:db8::1]:80", "shop/web"))
def test_the_words_of_a_command(text: str) -> None:
    for read in (backend, service_key):
        with only(ValueError, says="write"):
            read(text)


ANSWERS = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    b"HTTP/1.0 503 no\n",
    b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
]
EXPECTED = ((200, 399),)


@given(st.one_of(mutated(ANSWERS), st.binary(max_size=40)), st.integers(1, 60))
def test_the_answer_to_a_check(answer: bytes, step: int) -> None:
    status = StatusConversation(b"", Statuses(EXPECTED))
    request = h11.Request(method="GET", target="/", headers=[("Host", "a")])
    body = BodyConversation(request, Statuses(EXPECTED), Expectation(Expected(b"ok")))
    for conversation in (status, body):
        found = ending_of(conversation, answer, step)
        assert found.outcome is not Outcome.PASSED or b"HTTP/1." in answer
        assert found.reason.isprintable()


@given(st.binary(max_size=200), st.integers(1, 60))
def test_any_answer_to_a_check_that_expects_one(answer: bytes, step: int) -> None:
    conversation = TcpConversation(b"", Expectation(Expected(rb"^\+PONG", is_expression=True)))
    found = ending_of(conversation, answer, step)
    assert (found.outcome is Outcome.PASSED) is answer.startswith(b"+PONG")


def ending_of(conversation: Conversation, answer: bytes, step: int) -> CheckResult:
    """Return how a check ends that hears an answer in pieces."""
    conversation.opening()
    for at in range(0, len(answer), step):
        said = conversation.heard(answer[at : at + step])
        assert conversation.awaited  # noqa: PGH005  it is no mock
        if not isinstance(said, bytes):
            return said
    return conversation.ended()


@given(
    st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE"]),
    st.one_of(st.sampled_from(PATHS), texts(*PATHS).map(clean)),
    st.dictionaries(
        st.sampled_from(["limit", "continue", "resourceVersion", "fieldSelector", "labelSelector"]),
        texts("1", "metadata.name=web", "a=b,c in (d)").map(clean),
    ),
    bodies(SERVICE, ENDPOINTS, [{"op": "add", "path": "/metadata/labels/a", "value": "b"}]),
    st.sampled_from(MEDIA),
)
def test_a_request_to_the_embedded_api_server(
    method: str, path: str, query: dict[str, str], body: bytes, media: str
) -> None:
    headers = {"content-type": f"application/{media}"}
    server = ApiServer()

    async def answered(request: Request) -> int:
        return (await server.handle(request)).status

    async def all_answered() -> list[int]:
        made = Request("POST", PATHS[0], {}, {}, json.dumps(SERVICE).encode())
        return [
            await answered(made),
            await answered(Request(method, path, query, headers, body)),
        ]

    first, then = asyncio.run(all_answered())
    assert first == 201
    # 504: a version that is still to come; 500: a watch from what is no version.
    assert 200 <= then < 500 or (then == 504 and method == "GET"), then

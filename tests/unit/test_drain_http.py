"""Taking backends out over HTTP: whoever has no token changes nothing, and is written down."""

from __future__ import annotations

from pathlib import Path

import pytest
from aiohttp.test_utils import TestClient, TestServer
from structlog.testing import capture_logs

from registrar.admin.access import Access
from registrar.admin.handlers import Handlers
from tests.unit.test_status_command import Fixed

BODY = {"service": "shop/web", "backends": ["10.20.0.7"]}


@pytest.mark.parametrize("path", ["/drain", "/undrain"])
async def test_it_takes_the_token(tmp_path: Path, path: str) -> None:
    token = tmp_path / "token"
    token.write_text("correct horse\n")
    program = Fixed()
    served = TestServer(Handlers(program, Access(token)).application())
    async with TestClient(served) as client:
        with capture_logs() as logs:
            for headers, status in (({}, 401), ({"Authorization": "Bearer wrong"}, 403)):
                answer = await client.post(path, json=BODY, headers=headers)
                assert answer.status == status
        assert program.orders == []
        said = [(line["event"], line["order"], line["by"], line["status"]) for line in logs]
        assert said == [
            ("order-refused", path[1:], "HTTP from 127.0.0.1", status) for status in (401, 403)
        ]
        assert "horse" not in str(logs)
        right = {"Authorization": "Bearer correct horse"}
        answer = await client.post(path, json=BODY, headers=right)
        assert (await answer.json())["outcome"] == "done"
    [order] = program.orders
    assert (order.by, order.out) == ("HTTP from 127.0.0.1", path == "/drain")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("{", "the body can't be read"),
        ('{"service": "shop/web", "backends": []}', "name at least one backend"),
        ('{"service": "web", "backends": ["10.20.0.7"]}', "'web' is not a Service"),
        ('{"service": "shop/web", "backends": ["web-7"]}', "'web-7' is not a backend"),
        ('{"service": "shop/web", "backends": ["10.20.0.7"], "timeout": 0}', "timeout is to be"),
        ('{"service": "shop/web", "backends": ["10.20.0.7"], "forced": true}', "forced"),
    ],
)
async def test_what_cannot_be_meant_is_said(body: str, words: str) -> None:
    program = Fixed()
    async with TestClient(TestServer(Handlers(program, None).application())) as client:
        answer = await client.post("/drain", data=body)
        assert answer.status == 400
        assert words in await answer.text()
    assert program.orders == []

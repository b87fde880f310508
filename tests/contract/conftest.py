"""The embedded API server as what the contract is about; tests/integration has the real one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contract.api import Api, EmbeddedApi


@pytest.fixture
def api() -> Iterator[Api]:
    embedded = EmbeddedApi()
    yield embedded
    embedded.close()


@pytest.fixture
def ns(api: Api) -> str:
    """A namespace of the test's own."""
    made = api.post("/api/v1/namespaces", {"metadata": {"generateName": "contract-"}})
    assert made.status == 201
    return str(made.meta["name"])

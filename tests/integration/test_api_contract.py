"""The contract of tests/contract, against the real API server."""

from __future__ import annotations

from functools import partial

import pytest

from tests.contract.api import Api, RealApi, place
from tests.contract.conftest import ns  # noqa: F401  a fixture
from tests.contract.objects import service
from tests.contract.test_lists import *  # noqa: F403  every test of it
from tests.contract.test_namespaces import *  # noqa: F403  every test of it
from tests.contract.test_patches import *  # noqa: F403  every test of it
from tests.contract.test_protocol import *  # noqa: F403  every test of it
from tests.contract.test_ranges import *  # noqa: F403  every test of it
from tests.contract.test_ranges import tidy  # noqa: F401  a fixture
from tests.contract.test_services import *  # noqa: F403  every test of it
from tests.contract.test_validation import *  # noqa: F403  every test of it
from tests.contract.test_watches import *  # noqa: F403  every test of it
from tests.contract.test_writes import *  # noqa: F403  every test of it
from tests.lab import Lab, wait_for


@pytest.fixture(scope="module")
def real(lab: Lab) -> Api:
    api = RealApi(lab)
    # At its start the endpoints controller deletes Endpoints that have no Service, ours too.
    for name in ("contract-1", "contract-2"):
        api.post(place("default", "services"), service(name, {"port": 80}, selector={"a": "b"}))
        path = place("default", "endpoints", name)
        wait_for(partial(_is_there, api, path), 120, "the endpoints controller")
        api.delete(place("default", "services", name))
    return api


def _is_there(api: Api, path: str) -> bool:
    return api.get(path).status == 200


@pytest.fixture
def api(real: Api) -> Api:
    return real

"""What a file may hold: anything at all, and it ends in an answer or in not knowing."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import pytest
import yaml
from hypothesis import assume, example, given
from hypothesis import strategies as st

from registrar.errors import SourceError
from registrar.model import Address, Answer, Backend
from registrar.source import Context, Part
from registrar.threads import in_thread
from sources.static import StaticOptions, StaticQuery, StaticSource
from tests.fakes import NoFiles

Ask = Callable[[str, bytes, str | None], Answer | SourceError]


@pytest.fixture(scope="module")
def ask() -> Iterator[Ask]:
    """Ask a source of one file for a group, or for all that the file holds."""
    with tempfile.TemporaryDirectory() as base, asyncio.Runner() as runner:

        async def discover(name: str, group: str | None) -> Answer | SourceError:
            options = StaticOptions.model_validate({"files": (name,)})
            source = StaticSource(options, Context(Path(base), NoFiles(), in_thread))
            try:
                return await source.discover(Part(StaticQuery(group=group), f"{base}/{name}"))
            except SourceError as error:
                return error
            finally:
                await source.aclose()

        def ask(name: str, content: bytes, group: str | None = None) -> Answer | SourceError:
            Path(base, name).write_bytes(content)
            return runner.run(discover(name, group))

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr("registrar.file_reader.SETTLE_S", 0.0)
            yield ask


# --- anything at all -----------------------------------------------------------------------------

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["10.0.0.1:80", "[::1]:80", "10.0.0.1:", "fe80::1%eth0", "x" * 64])
)
keys = st.sampled_from(
    ["web", "address", "port", "weight", "zone", "hostname", "targets", "labels", "[key]", "<<"]
) | st.text(max_size=4)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=12,
)
# Text that is nearly YAML finds more than bytes that are nearly always not even UTF-8.
nearly_yaml = st.lists(
    st.sampled_from(
        [*"[]{}:,-&*!|>%@?#'\"~\n \t\\", "- ", ": ", "&a ", "*a", "web", "!!int ", "10"]
    )
    | st.characters(exclude_categories=()),
    max_size=30,
).map(lambda pieces: "".join(pieces).encode(errors="surrogatepass"))


@given(
    st.sampled_from(["a.yaml", "a.json"]),
    st.binary(max_size=200)
    | nearly_yaml
    | values.map(lambda value: yaml.safe_dump(value).encode())
    | values.map(lambda value: json.dumps(value).encode()),
)
@example("a.yaml", b"[10.0.0.1]")
@example("a.yaml", b"[" * 1000)
@example("a.yaml", b"web: [{port: " + b"9" * 5000 + b"}]")
@example("a.json", b'["\\ud800"]')
def test_any_bytes_are_an_answer_or_not_knowing(ask: Ask, name: str, content: bytes) -> None:
    found = ask(name, content, None)
    if isinstance(found, Answer):
        # What can't be used is told in one line, of the place where it stands.
        assert all(drop.record and f"/{name}:" in drop.reason for drop in found.dropped)
        assert all("\n" not in drop.record + drop.reason for drop in found.dropped)
    else:
        assert f"/{name}:" in str(found)
        assert "\n" not in str(found)


# --- what is written is what is read -------------------------------------------------------------

ports = st.none() | st.integers(1, 65_535)
addresses: st.SearchStrategy[Address] = st.builds(
    IPv4Address, st.integers(0, 2**32 - 1)
) | st.builds(IPv6Address, st.integers(0, 2**128 - 1))
labels = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", fullmatch=True)
written = st.text(
    st.characters(exclude_categories=["Cs", "Cc", "Cn"], exclude_characters="\u2028\u2029\ufeff"),
    min_size=1,
    max_size=12,
)
backends = st.builds(
    Backend, addresses, ports, st.integers(1, 1000), st.none() | written, st.none() | labels
)
groups = st.dictionaries(written, st.lists(backends, max_size=6), min_size=1, max_size=4)
forms = st.sampled_from(["plain", "short", "full"])


def record(backend: Backend, form: str) -> str | dict[str, str | int]:
    """Return a backend as a person would write it."""
    address, port = str(backend.address), backend.port
    if form != "full" and backend == Backend(backend.address, port):
        if port is None:
            return address
        return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    fields = {
        "address": address,
        "port": port,
        "weight": backend.weight,
        "zone": backend.zone,
        "hostname": backend.hostname,
    }
    return {key: value for key, value in fields.items() if value is not None}


Written = Mapping[str, list[str | dict[str, str | int]]]


def as_yaml(value: Written) -> tuple[str, bytes]:
    return "a.yaml", yaml.safe_dump(value, allow_unicode=True).encode()


def as_flow(value: Written) -> tuple[str, bytes]:
    return "a.yaml", yaml.safe_dump(value, default_flow_style=True).encode()


def as_json(value: Written) -> tuple[str, bytes]:
    return "a.json", json.dumps(value).encode()


def as_tabbed_json(value: Written) -> tuple[str, bytes]:
    return "a.json", json.dumps(value, ensure_ascii=False, indent="\t").encode()


written_as = st.sampled_from([as_yaml, as_flow, as_json, as_tabbed_json])


@given(groups, forms, written_as, st.data())
def test_groups_are_read_as_they_were_written(
    ask: Ask,
    groups: dict[str, list[Backend]],
    form: str,
    write: Callable[[Written], tuple[str, bytes]],
    data: st.DataObject,
) -> None:
    name, content = write({g: [record(b, form) for b in bs] for g, bs in groups.items()})
    group = data.draw(st.sampled_from(sorted(groups)))
    assert ask(name, content, group) == Answer(tuple(groups[group]))
    everything = ask(name, content, None)
    assert isinstance(everything, Answer)
    assert sorted(map(repr, everything.backends)) == sorted(
        repr(b) for bs in groups.values() for b in bs
    )
    assert not everything.dropped


@given(st.lists(backends, min_size=1, max_size=6), values, written_as, st.data())
def test_one_bad_record_costs_only_itself(
    ask: Ask,
    good: list[Backend],
    bad: str | dict[str, str | int],
    write: Callable[[Written], tuple[str, bytes]],
    data: st.DataObject,
) -> None:
    at = data.draw(st.integers(0, len(good)))
    records = [record(b, "short") for b in good]
    records.insert(at, bad)
    found = ask(*write({"web": records}), "web")
    assume(isinstance(found, Answer))  # what isn't even well-formed is another test's
    assert isinstance(found, Answer)
    if found.dropped:
        assert found.backends == tuple(good)
        assert len(found.dropped) == 1
    else:  # by chance it was a good one
        assert found.backends[:at] + found.backends[at + 1 :] == tuple(good)

"""All queries of a configuration: who is asked, who hears of it, and how it ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from registrar.config import Config
from registrar.errors import SourceError
from registrar.feeds import CLOSING_S, Feeds
from registrar.mappings import SourceConfig
from registrar.model import (
    Answer,
    NetworkRules,
    PortMapping,
    QueryRef,
    ServiceKey,
    ServiceMapping,
)
from registrar.source import Context, Options, Part, Query, Source
from registrar.threads import in_thread
from tests.fakes import LoopSchedule, NoFiles, Steady, answer, pass_time

pytestmark = pytest.mark.looptime

ONE, TWO = answer("10.0.0.1"), answer("10.0.0.2")
WEB, DB, API = (ServiceKey("shop", name) for name in ("web", "db", "api"))


class Named(Query):
    name: str


class Listing(Source[Options, Named]):
    """A source that lists backends by name, and notes what it was asked and whether it closed."""

    options_class = Options
    query_class = Named

    def __init__(self, options: Options, context: Context) -> None:
        super().__init__(options, context)
        self.lists: dict[str, Answer | SourceError | None] = {}
        self.asked: list[str] = []
        self.ending: BaseException | None = None
        self.hangs = False
        self.closed = 0

    async def discover(self, part: Part[Named]) -> Answer:
        self.asked.append(part.query.name)
        said = self.lists.get(part.query.name, ONE)
        if isinstance(said, SourceError):
            raise said
        if said is None:
            await asyncio.Event().wait()
        assert said is not None
        return said

    async def aclose(self) -> None:
        await asyncio.sleep(0)  # the others' turn
        if self.hangs:
            await asyncio.Event().wait()
        if self.ending is not None:
            raise self.ending
        self.closed += 1


def query(name: str, source: str = "a") -> QueryRef:
    return QueryRef(source, Named(name=name))


def mapping(key: ServiceKey, *ports: tuple[QueryRef, ...]) -> ServiceMapping:
    return ServiceMapping(
        key,
        tuple(PortMapping(f"p{n}", queries, None, None) for n, queries in enumerate(ports)),
    )


class Fed:
    """The feeds of a configuration with the sources a, b and c, asked every 30 s."""

    def __init__(self, base: Path, *mappings: ServiceMapping) -> None:
        self.sources: list[Listing] = []
        self.marked: list[ServiceKey] = []
        context = Context(base, NoFiles(), in_thread)
        fed = self

        class Known(Listing):
            def __init__(self, options: Options, context: Context) -> None:
                super().__init__(options, context)
                fed.sources.append(self)

        self.kind: type[Listing] = Known
        self.base = base
        config = self.config(*mappings)
        self.feeds = Feeds(config, context, LoopSchedule(), Steady(), self.marked.append)

    def config(self, *mappings: ServiceMapping, **options: Options) -> Config:
        names = ("a", "b", "c")
        sources = [SourceConfig(name, self.kind, options.get(name, Options())) for name in names]
        return Config(self.base, "office", NetworkRules(), tuple(sources), mappings)

    def apply(self, *mappings: ServiceMapping, **options: Options) -> None:
        self.feeds.apply(self.config(*mappings, **options))

    def seen(self, ref: QueryRef) -> Answer:
        return Answer(self.feeds.observe([ref])[ref].backends)

    def take_marked(self) -> list[ServiceKey]:
        taken = sorted(self.marked)
        self.marked.clear()
        return taken


Feeding = Callable[..., Fed]


@pytest.fixture
async def feeding(tmp_path: Path) -> AsyncIterator[Feeding]:
    started: list[Fed] = []

    def feeding(*mappings: ServiceMapping) -> Fed:
        started.append(Fed(tmp_path, *mappings))
        started[-1].feeds.start()
        return started[-1]

    yield feeding
    for fed in started:
        for source in fed.sources:
            source.hangs = False
        await fed.feeds.aclose()


# --- who is asked --------------------------------------------------------------------------------


async def test_a_query_is_asked_once_however_many_ask_it(feeding: Feeding) -> None:
    fed = feeding(
        mapping(WEB, (query("x"),), (query("x"), query("y"))),
        mapping(DB, (query("x"),)),
        mapping(API, (query("x"),)),
    )
    await pass_time(1)
    (source,) = fed.sources
    assert sorted(source.asked) == ["x", "y"]
    await pass_time(30)
    assert sorted(source.asked) == ["x", "x", "y", "y"]


async def test_the_same_question_to_two_sources_is_two(feeding: Feeding) -> None:
    fed = feeding(mapping(WEB, (query("x", "a"), query("x", "b"))))
    await pass_time(1)
    assert [source.asked for source in fed.sources] == [["x"], ["x"]]


async def test_a_source_that_nobody_asks_is_not_begun(feeding: Feeding) -> None:
    assert len(feeding(mapping(WEB, (query("x", "b"),))).sources) == 1
    assert feeding().sources == []


async def test_each_query_is_observed_by_itself(feeding: Feeding) -> None:
    fed = feeding(mapping(WEB, (query("x"), query("y"))), mapping(DB, (query("z"),)))
    fed.sources[0].lists = {"x": ONE, "y": TWO, "z": SourceError("refused")}
    await pass_time(1)
    seen = fed.feeds.observe([query("x"), query("y"), query("z")])
    assert [seen[query(name)].backends for name in "xyz"] == [ONE.backends, TWO.backends, ()]
    assert seen[query("z")].errors == ("refused",)
    assert list(fed.feeds.observe([query("y")])) == [query("y")]


async def test_queries_are_asked_when_each_has_answered_or_failed(feeding: Feeding) -> None:
    fed = feeding(mapping(WEB, (query("x"), query("y"), query("z"))))
    fed.sources[0].lists = {"x": ONE, "y": SourceError("refused"), "z": None}
    await pass_time(1)
    assert fed.feeds.asked([query("x"), query("y")])
    assert not fed.feeds.asked([query("x"), query("z")])
    await pass_time(Options().timeout)
    assert fed.feeds.asked([query("x"), query("y"), query("z")])
    assert fed.feeds.asked([])


# --- who hears of it -----------------------------------------------------------------------------


async def test_a_change_marks_the_services_that_it_concerns_and_no_other(feeding: Feeding) -> None:
    fed = feeding(
        mapping(WEB, (query("x"),), (query("x"), query("y"))),
        mapping(DB, (query("y"), query("x", "b"))),
        mapping(API, (query("z"),)),
    )
    await pass_time(1)
    assert set(fed.take_marked()) == {WEB, DB, API}
    await pass_time(300)
    assert fed.take_marked() == []
    a, b = fed.sources
    for changed, concerned in (("x", [WEB]), ("y", [DB, WEB]), ("z", [API])):
        a.lists = {**a.lists, changed: TWO}
        await pass_time(30)
        assert fed.take_marked() == concerned
    b.lists = {"x": SourceError("refused")}
    await pass_time(30)
    assert fed.take_marked() == [DB]


# --- another configuration -----------------------------------------------------------------------


async def test_what_both_configurations_ask_goes_on_with_what_is_known(feeding: Feeding) -> None:
    fed = feeding(mapping(WEB, (query("x"), query("y"))))
    await pass_time(10)
    fed.sources[0].asked.clear()
    fed.apply(mapping(DB, (query("x"),)), mapping(API, (query("z"),)))
    assert fed.seen(query("x")) == ONE
    await pass_time(1)
    assert len(fed.sources) == 1
    assert fed.sources[0].asked == ["z"]
    fed.take_marked()
    fed.sources[0].lists = {"x": TWO, "y": TWO}
    await pass_time(30)
    assert fed.sources[0].asked.count("x") == 1  # in the rhythm that it had
    assert "y" not in fed.sources[0].asked
    assert fed.take_marked() == [DB]


async def test_a_source_with_other_options_is_made_anew_and_asked_at_once(feeding: Feeding) -> None:
    mappings = (mapping(WEB, (query("x", "a"),)), mapping(DB, (query("x", "b"),)))
    fed = feeding(*mappings)
    await pass_time(1)
    fed.apply(*mappings, a=Options(timeout="7s"))
    (part,) = fed.feeds.observe([query("x", "a")])[query("x", "a")].parts
    assert part.answer is None  # it knows nothing yet
    assert fed.seen(query("x", "b")) == ONE
    await pass_time(1)
    assert [source.closed for source in fed.sources] == [1, 0, 0]
    assert [source.asked for source in fed.sources] == [["x"], ["x"], ["x"]]
    assert fed.seen(query("x", "a")) == ONE


async def test_a_source_that_nobody_asks_any_more_is_closed(feeding: Feeding) -> None:
    fed = feeding(mapping(WEB, (query("x", "a"),)), mapping(DB, (query("x", "b"),)))
    await pass_time(1)
    fed.apply(mapping(WEB, (query("x", "a"),)))
    assert fed.feeds.observe([query("x", "b")]) == {}
    await pass_time(300)
    assert [source.closed for source in fed.sources] == [0, 1]
    assert fed.sources[1].asked == ["x"]
    await fed.feeds.aclose()
    assert [source.closed for source in fed.sources] == [1, 1]


async def test_a_source_that_can_not_be_made_leaves_everything_as_it_was(feeding: Feeding) -> None:
    fed = feeding(mapping(WEB, (query("x", "a"),)))
    await pass_time(1)

    class Broken(Listing):
        def __init__(self, options: Options, context: Context) -> None:
            del options, context
            raise SourceError("no ca.pem")

    config = fed.config(mapping(WEB, (query("y", "a"),), (query("x", "b"), query("x", "c"))))
    sources = (*config.sources[:2], SourceConfig("c", Broken, Options()))
    with pytest.raises(SourceError, match=r"no ca\.pem"):
        fed.feeds.apply(replace(config, sources=sources))
    await pass_time(30)
    assert [source.closed for source in fed.sources] == [0, 1]  # b had been made before c failed
    assert fed.sources[0].asked == ["x", "x"]
    assert fed.seen(query("x", "a")) == ONE


async def test_the_end_waits_for_what_a_change_has_ended(feeding: Feeding) -> None:
    fed = feeding(mapping(WEB, (query("x", "a"),)))
    await pass_time(1)
    fed.sources[0].hangs = True
    fed.apply(mapping(WEB, (query("x", "b"),)))
    with capture_logs() as logs:
        await fed.feeds.aclose()
    assert [line["source"] for line in logs] == ["a"]
    assert asyncio.all_tasks() == {asyncio.current_task()}


# --- the end -------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [ValueError("hunter2"), asyncio.CancelledError("hunter2")])
async def test_a_source_that_fails_to_close_keeps_no_other_open(
    feeding: Feeding, error: BaseException
) -> None:
    fed = feeding(mapping(WEB, (query("x", "a"), query("x", "b"), query("x", "c"))))
    await pass_time(1)
    fed.sources[1].ending = error
    with capture_logs() as logs:
        await fed.feeds.aclose()
    assert [source.closed for source in fed.sources] == [1, 0, 1]
    (line,) = logs
    assert line["event"] == "source-not-closed"
    assert (line["source"], line["error"]) == ("b", type(error).__name__)
    assert "hunter2" not in str(logs)


async def test_a_source_that_never_closes_does_not_hold_up_the_end(feeding: Feeding) -> None:
    fed = feeding(mapping(WEB, (query("x", "a"), query("x", "b"))))
    await pass_time(1)
    fed.sources[0].hangs = True
    begun = asyncio.get_running_loop().time()
    with capture_logs() as logs:
        async with asyncio.timeout(60):
            await fed.feeds.aclose()
    assert asyncio.get_running_loop().time() == begun + CLOSING_S
    assert [source.closed for source in fed.sources] == [0, 1]
    assert [(line["source"], line["error"]) for line in logs] == [("a", "TimeoutError")]


async def test_a_source_is_closed_after_its_last_question_and_asked_nothing_more(
    feeding: Feeding,
) -> None:
    fed = feeding(mapping(WEB, (query("x"), query("hangs"))))
    fed.sources[0].lists = {"hangs": None}
    await pass_time(1)
    await fed.feeds.aclose()
    assert fed.sources[0].closed == 1
    assert asyncio.all_tasks() == {asyncio.current_task()}
    asked, marked = list(fed.sources[0].asked), list(fed.marked)
    await pass_time(300)
    assert (fed.sources[0].asked, fed.marked) == (asked, marked)


async def test_an_end_without_a_beginning(tmp_path: Path) -> None:
    fed = Fed(tmp_path, mapping(WEB, (query("x"),)))
    await fed.feeds.aclose()
    assert fed.sources[0].closed == 1

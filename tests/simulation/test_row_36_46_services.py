"""Rows 36 to 46: what becomes of Services, mappings, and objects that others own."""

from __future__ import annotations

from tests.simulation.cluster import PODS
from tests.simulation.ends import fails, says
from tests.simulation.mappings import Size
from tests.simulation.rows import row
from tests.simulation.simulation import Simulation
from tests.simulation.truth import ServiceTruth, now

POD = "10.244.0.7"
PODS_SLICE = "web0-pods"


def gains_selector(sim: Simulation, *, pods_are_ready: bool) -> None:
    """Give web0 a selector; its controllers then write what they write."""
    sim.hands.patch_service("web0", {"selector": {"app": "web"}})
    sim.hands.slice(PODS_SLICE, "web0", {POD: pods_are_ready}, PODS)
    sim.hands.endpoints("web0", [POD])


@row()
async def test_row_36_gains_a_selector_and_pods_serve(sim: Simulation) -> None:
    gains_selector(sim, pods_are_ready=True)
    await sim.passes(2)
    sim.expect(set(sim.published("web0")) == {POD}, "our slices stay")
    await sim.passes_between(0, 20)
    sim.expect(sim.endpoints("web0") == {POD: True}, "the Endpoints were touched")


@row(Size(bound_s=35))
async def test_row_36_gains_a_selector_and_no_pod_serves(sim: Simulation) -> None:
    gains_selector(sim, pods_are_ready=False)
    async with sim.nothing_written():
        await sim.passes(29)
    await sim.passes(2)
    sim.expect(set(sim.published("web0")) == {POD}, "our slices stay")


@row(mixes=True)
async def test_row_37_deleted_and_made_again(sim: Simulation) -> None:
    for _ in range(3):
        sim.hands.delete(sim.path("services", "web0"))
        await sim.passes(sim.rng.choice([0.0, 0.01, sim.rng.uniform(0, 10)]))
        sim.hands.service("web0")
        await sim.passes(1)
        sim.expect(set(sim.published("web0")) == sim.truth.listed("web0"), "not within a second")
        await sim.passes_between(0, 3)


@row()
async def test_row_38_its_namespace_is_terminating(sim: Simulation) -> None:
    before = len(sim.requests(frozenset({"create", "update", "delete"})))
    sim.hands.end_namespace()
    await sim.passes_between(60, 90)
    tried = len(sim.requests(frozenset({"create", "update", "delete"}))) - before
    sim.expect(tried < 25, f"{tried} writes were tried")


@row(Size(services=2))
async def test_row_39_objects_of_somebody_else(sim: Simulation) -> None:
    await sim.process.kill()
    since = now()
    sim.truth.services["theirs"] = ServiceTruth("theirs", (("racks", "group0"),))
    sim.hands.service("theirs")
    sim.hands.endpoints("theirs", ["10.66.0.1"], labels={"app.kubernetes.io/managed-by": "helm"})
    sim.hands.slice("theirs-by-hand", "theirs", {"10.66.0.1": True}, "somebody")
    sim.hands.slice("web1-by-hand", "web1", {}, "somebody")
    sim.process.start()
    await sim.passes_between(5, 30)
    sim.expect_hold("not-ours", since)
    sim.gains("theirs")


@row()
async def test_row_40_a_reload_with_an_invalid_file(sim: Simulation) -> None:
    since = now()
    async with sim.nothing_written():
        sim.spoil_file()
        await sim.passes_between(5, 60)
    sim.expect_logged("reload-failed", since)
    sim.gains(sim.service())


@row(Size(services=2))
async def test_row_40_an_invalid_file_while_a_mapping_goes(sim: Simulation) -> None:
    """What the file is meant to say isn't known, so nothing goes until it says it again."""
    sim.truth.unmaps("web1")
    sim.reload()
    await sim.passes_between(1, 29)
    sim.spoil_file()
    await sim.passes_between(31, 150)
    sim.expect(sim.published("web1"), "it went while the file was in doubt")
    sim.reload()
    await sim.passes(31)
    sim.expect(not sim.published("web1"), "it stays")


@row(Size(services=2))
async def test_row_41_a_mapping_is_removed(sim: Simulation) -> None:
    gone = sim.service()
    sim.truth.unmaps(gone)
    sim.reload()
    await sim.passes(29)
    sim.expect(sim.published(gone), "it went before its time")
    await sim.passes(2)
    sim.expect(not sim.published(gone), "it stays")


@row(Size(services=2))
async def test_row_41_a_mapping_is_missing_for_a_moment(sim: Simulation) -> None:
    sim.missing = [sim.service()]
    async with sim.nothing_written():
        sim.reload()
        await sim.passes_between(0, 29)
        sim.missing = []
        sim.reload()
        await sim.passes(100)


@row(Size(services=10, backends=1))
async def test_row_41_four_of_ten_mappings_are_removed(sim: Simulation) -> None:
    """Held, whether it is running or starts without them; then a person accepts it."""
    sim.missing = ["web0", "web1", "web2", "web3"]
    since, restarts = now(), sim.rng.random() < 0.5
    async with sim.nothing_written():
        if restarts:
            await sim.process.kill()
            sim.process.start()
        else:
            sim.reload()
        await sim.passes(100)
    said = sim.expect_logged("orphans-kept" if restarts else "reload-held", since)
    for name in sim.missing:
        sim.truth.unmaps(name)
    sim.accept_removed = said["digest"]
    sim.reload()
    await sim.passes(31)
    sim.expect(not any(sim.published(name) for name in sim.missing), "they stay")


@row()
async def test_row_43_loses_its_selector(sim: Simulation) -> None:
    since = now()
    gains_selector(sim, pods_are_ready=True)
    await sim.passes_between(2, 10)
    sim.hands.patch_service("web0", {"selector": None})
    sim.hands.delete(sim.path("endpoints", "web0"))
    await sim.passes_between(5, 20)
    sim.expect_hold("leftover-slices", since)
    sim.expect(POD in sim.published("web0"), "what is not ours was deleted")
    sim.hands.delete(sim.path("endpointslices", PODS_SLICE))


@row(Size(adopt=True))
async def test_row_43_loses_its_selector_and_adopts(sim: Simulation) -> None:
    gains_selector(sim, pods_are_ready=True)
    await sim.passes_between(2, 10)
    sim.hands.patch_service("web0", {"selector": None})
    await sim.passes_between(3, 20)


@row(Size(services=2))
async def test_row_44_allow_is_narrowed(sim: Simulation) -> None:
    since = now()
    sim.checker.narrow("10.0.0.0/16")
    sim.reload()
    await sim.passes(1)
    sim.expect(not sim.published("web1"), "it is still published")
    sim.expect_logged("backend-withdrawn", since)


@row()
async def test_row_44_an_address_becomes_one_of_the_clusters(sim: Simulation) -> None:
    """Whatever is being held meanwhile."""
    since, taken = now(), sim.member("web0")
    with sim.ends.under(sim.rng.choice([fails("connection refused"), says(lambda _: ())])):
        await sim.passes_between(0, 12)
        sim.checker.deny(f"{taken}/32")
        sim.hands.node("node-1", f"{taken}/32")
        await sim.passes(1)
        sim.expect(taken not in sim.published("web0"), "it is still published")
        await sim.passes_between(0, 10)
    sim.expect_logged("backend-withdrawn", since)


@row(Size(services=2))
async def test_row_44_refused_addresses_are_withdrawn_after_a_restart(sim: Simulation) -> None:
    await sim.process.kill()
    sim.checker.narrow("10.0.0.0/16")
    sim.process.start()


@row(Size(bound_s=15))
async def test_row_46_mirroring_is_off(sim: Simulation) -> None:
    since, before = now(), sim.published("web0")
    await sim.process.kill()
    sim.mirror.is_on = False
    sim.truth.changes("web0", publish="endpoints")
    sim.process.start()
    await sim.passes_between(20, 60)
    sim.expect_hold("mirroring-absent", since)
    sim.expect(sim.published("web0") == before, "the slices did not stay")
    sim.mirror.switch_on()


@row(Size(publish="endpoints"))
async def test_row_46_mirroring_is_on(sim: Simulation) -> None:
    name = sim.service()
    sim.gains(name)
    await sim.passes_between(12, 20)
    sim.truth.changes(name, publish="both")
    await sim.process.kill()
    sim.process.start()

"""Promotion with real processes: a running engine takes up a basket that nobody compiled."""

import json
import subprocess
import time

import pytest

from desk.basket_list import listed
from shm.codes import MarketKind
from shm.fabric import Fabric
from shm.markets import MarketsReader, active
from shm.promoted import Promoted, PromotedLeg, promote
from tests.pipeline.system import POLYTRIO, System, environment, until

pytestmark = pytest.mark.slow


def test_a_running_engine_watches_what_is_promoted_and_the_verbs_tell_of_it(instance, tmp_path):
    env = environment(instance, tmp_path / "var")
    system = System(instance, [*POLYTRIO, "run", "--for", "60", "--json"], env, tmp_path)
    try:
        until(system.all_running, "all stages run")
        until(lambda: len(listed(instance)) > 100, "baskets are compiled and shown")
        _, rows = MarketsReader(Fabric(instance)).read()
        low, bracket = next(
            (one, other) for one in active(rows) for other in active(rows)
            if one.kind == MarketKind.ABOVE and other.kind == MarketKind.RANGE
            and (one.group, one.lower_usd_e6) == (other.group, other.lower_usd_e6)
        )  # fmt: skip
        legs = (
            PromotedLeg(f"{low.key:016x}", "YES"),
            PromotedLeg(f"{bracket.key:016x}", "NO"),
        )
        promote(tmp_path / "var" / instance, Promoted(legs, 10_000, low.expiry_ms,
                                                      time.time_ns() // 10**6))  # fmt: skip

        def watched():
            return [one for one in listed(instance) if one.kind == "promoted"]

        (one,) = until(watched, "the engine shows the promoted basket")

        def ask(*arguments: str) -> dict:
            done = subprocess.run(
                [*POLYTRIO, *arguments, "--json"], env=env, cwd=tmp_path, capture_output=True
            )
            assert done.returncode == 0, done.stderr
            return json.loads(done.stdout)

        told = ask("explain", one.id)
        assert told["payoff"]["interval_min_e4"] == 10_000
        assert ask("baskets", "--kind", "promoted")["baskets"][0]["id"] == one.id
        for ladder in ask("scan")["ladders"]:
            bound = ladder["certificate"]["no_purchase_exceeds_usd_e6"]
            assert ladder["profit_usd_e6"] <= bound <= ladder["profit_usd_e6"] + 100
    finally:
        system.stop()

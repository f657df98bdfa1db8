"""Hazard B1 on the whole system: the market channel freezes, PONGs go on, nobody trades on it."""

import json
import time
import urllib.request

import pytest

from shm.control import require_settings
from shm.fabric import Fabric
from shm.layout import INGEST_STATS
from tests.pipeline.system import POLYTRIO, System, environment, until

pytestmark = pytest.mark.slow

UPDATES = {"at": "market", "then": {"do": "lose"}}
ANSWERS = {"at": "subscribe", "then": {"do": "lose"}}
WATCHED_S = 3.0
PATIENCE_S = 180.0


@pytest.fixture
def system(instance, tmp_path):
    env = environment(instance, tmp_path / "var", POLYTRIO__DESK__COINS='["BTC"]')
    found = System(instance, [*POLYTRIO, "run", "--json"], env, tmp_path)
    yield found
    found.end()


def ask(system, path: str, body=None):
    url = require_settings(Fabric(system.instance)).venues.clob_url
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(f"{url}{path}", data=data)) as reply:
        return json.load(reply)


def rules(system, *wanted) -> None:
    """These faults of the exchange, and no others."""
    ask(system, "/sim/faults", {"clear": "all", "add": list(wanted)})


def counts(system):
    counters = Fabric(system.instance).counters("stats-ingest.counters", INGEST_STATS, write=False)
    return counters.read()


def trades(system) -> None:
    before = system.executor().baskets_complete
    until(lambda: system.executor().baskets_complete > before, "it trades", PATIENCE_S)


def test_b1_while_a_frozen_channel_answers_pings_only_no_book_is_live_and_no_order_is_sent(system):
    until(system.all_running, "all stages run", PATIENCE_S)
    trades(system)
    rules(system, UPDATES, ANSWERS)
    until(lambda: counts(system).books_live == 0, "no book is live", PATIENCE_S)
    # What was on its way then is over soon; repairs included, which need live books, too.
    time.sleep(WATCHED_S)
    sent, pongs = system.executor().orders_sent, counts(system).pongs_received
    deadline_s = time.monotonic() + WATCHED_S
    while time.monotonic() < deadline_s or counts(system).pongs_received == pongs:
        assert counts(system).books_live == 0
        assert system.executor().orders_sent == sent
        time.sleep(0.05)
    rules(system)
    until(lambda: counts(system).books_stale == 0, "all books are live again", PATIENCE_S)
    trades(system)
    system.stop_in_agreement()


def test_b1_a_channel_that_answers_and_never_tells_of_changes_is_replaced(system):
    until(system.all_running, "all stages run", PATIENCE_S)
    trades(system)
    opened = counts(system).connections
    rules(system, UPDATES)
    until(lambda: counts(system).connections > opened, "the socket is replaced", PATIENCE_S)
    rules(system)
    trades(system)
    system.stop_in_agreement()

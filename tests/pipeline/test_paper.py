"""`polytrio run --venue polymarket`: live data, simulated money, and no way out for an order.

A second simulated exchange plays the live venue; nothing here needs the internet.
"""

import errno
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from shm.codes import BookState, MarketState, Role
from shm.control import require_settings
from shm.errors import ConfigError, LiveRefused, SegmentError, VenueUnreachable
from shm.fabric import Fabric
from shm.layout import ACCOUNT, BOOK
from shm.markets import MarketsReader
from tests.conftest import require_or_skip
from tests.pipeline import paper
from tests.pipeline.system import POLYTRIO, System, environment, last_json, require_agreement, until

pytestmark = pytest.mark.slow

MARKETS = 22 * 2 * len(paper.COINS)
PATIENCE_S = 120.0
SENDERS = (Role.EXECUTOR, Role.KILLER)
"""The only processes that hold what an order, or a cancel, could be sent with."""


class Watched:
    """Remembers with whom the senders have been connected."""

    def __init__(self, system):
        self.system = system
        self.found = {role: set() for role in SENDERS}

    def look(self):
        for role in SENDERS:
            row = self.system.row(role)
            if row is not None and row.pid:
                self.found[role] |= paper.peers(row.pid)

    def until(self, condition, what):
        until(lambda: (self.look(), condition())[1], what, PATIENCE_S)

    def require_this_machine_only(self, port):
        for role, found in self.found.items():
            assert found, f"{role.label} was never seen connected"
            assert not paper.foreign(found)
            # And of this machine only the mirroring exchange: not the live venue's stand-in.
            assert {at for _, at in found if at} == {port}


@pytest.fixture
def live():
    process, port = paper.start_live()
    yield port
    process.kill()
    process.wait()


@pytest.fixture
def run(instance, tmp_path):
    running = []

    def start(*command: str, **settings: str) -> System:
        env = environment(instance, tmp_path / "var", **settings)
        system = System(instance, list(command) or [*POLYTRIO, "run"], env, tmp_path)
        running.append(system)
        return system

    yield start
    for system in running:
        system.end(signal.SIGTERM)


def paper_run(*arguments):
    return [*POLYTRIO, "run", "--venue", "polymarket", "--json", *arguments]


def exchange_port(instance) -> int:
    """Where orders go, as all stages of the running system have it."""
    found = require_settings(Fabric(instance))
    url = found.venues.clob_url
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+", url)
    for name in ("gamma_url", "market_ws_url", "user_ws_url"):
        assert url.removeprefix("http") in getattr(found.venues, name)
    return int(url.rpartition(":")[2])


def require_paper(summary):
    assert (summary["venue"], summary["mode"]) == ("polymarket", "paper")
    assert summary["baskets_complete"] > 0
    require_agreement(summary)
    assert summary["mispricings_offered"] == 0, "the mirroring exchange invents nothing"


def test_it_trades_on_live_books_with_simulated_money_and_tells_the_live_venue_nothing(
    run, live, instance
):
    system = run(*paper_run("--for", "15"), **paper.settings(live))
    watched = Watched(system)
    watched.until(system.all_running, "all stages run")
    port = exchange_port(instance)
    assert port != live
    watched.until(lambda: system.executor().baskets_complete > 0, "baskets complete")
    while system.process.poll() is None:
        try:
            watched.look()
        except SegmentError:
            break  # the run is over and has cleared up
        time.sleep(0.05)
    code, out, err = system.finish()
    assert code == 0, err
    summary = last_json(out)
    require_paper(summary)
    assert summary["markets_live"] == MARKETS
    assert summary["mirror"]["markets_fresh"] == MARKETS
    assert summary["mirror"]["losses"] == 0
    watched.require_this_machine_only(port)
    with urllib.request.urlopen(f"http://127.0.0.1:{live}/sim/state") as reply:
        state = json.load(reply)
    assert state["accounts"] == {}
    assert state["orders_received"] == 0
    assert state["mispricings"]["taken"] == 0


def without_network() -> list[str]:
    """The command that starts a program where there is no network; skips where that is denied."""
    tool = shutil.which("unshare")
    require_or_skip(tool is not None, "unshare (to take the network away)")
    for option in ("-n", "-rn"):
        if subprocess.run([tool, option, "true"], capture_output=True).returncode == 0:
            return [tool, option]
    pytest.skip("this user may not make a network of its own")


def test_it_needs_no_route_to_anywhere(run, instance):
    command = [*without_network(), sys.executable, "-m", "tests.pipeline.paper"]
    system = run(
        *command, "--venue", "polymarket", "--json", "--for", "10", PYTHONPATH=str(paper.ROOT)
    )
    watched = Watched(system)
    watched.until(system.all_running, "all stages run")
    port = exchange_port(instance)
    watched.until(lambda: system.executor().baskets_complete > 0, "baskets complete")
    # The network of this process is not theirs, and theirs has one device.
    seen = Path(f"/proc/{system.row(Role.EXECUTOR).pid}/net/dev").read_text().splitlines()
    devices = [line.split(":")[0].strip() for line in seen[2:]]
    assert devices == ["lo"]
    code, out, err = system.finish()
    assert code == 0, err
    require_paper(last_json(out))
    watched.require_this_machine_only(port)


def test_without_network_nothing_can_be_reached_but_this_machine():
    # The checker of the test above: there is no way out of where it runs.
    program = """
from tests.pipeline.paper import raise_loopback
raise_loopback()
import socket
print(socket.socket().connect_ex(("192.0.2.1", 443)))
"""
    said = subprocess.run(
        [*without_network(), sys.executable, "-c", program],
        capture_output=True, text=True, cwd=paper.ROOT,
    )  # fmt: skip
    assert int(said.stdout) == errno.ENETUNREACH, said.stderr


def test_a_socket_that_leads_off_this_machine_would_be_seen():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stray:
        try:
            stray.connect(
                ("192.0.2.1", 443)
            )  # sends nothing: it is UDP, to a documentation address
        except OSError:
            pytest.skip("this machine has no route that a stray socket could take")
        assert {port for _, port in paper.foreign(paper.peers(os.getpid()))} == {443}
    assert not paper.foreign(paper.peers(os.getpid()))
    assert paper.foreign({("0100007F", 1), ("08080808", 53), ("00000000", 0)}) == {("08080808", 53)}


def books(instance):
    """(markets, live books, books with a level) of the active markets."""
    fabric = Fabric(instance)
    _, rows = MarketsReader(fabric).read()
    table = fabric.read_table("books", BOOK)
    active = [row for row in rows if row.state == MarketState.ACTIVE]
    found = [table.read(row.row) for row in active]
    alive = [book for book in found if book is not None and book.state == BookState.LIVE]
    return len(active), len(alive), sum(bool(b.bid_count or b.ask_count) for b in alive)


def reserved(instance) -> int:
    """Money that is bound in orders on their way."""
    return Fabric(instance).read_table("positions.account", ACCOUNT).read(0).reserved_usd_e6


def test_without_the_live_venue_books_are_empty_and_nothing_is_traded_until_it_is_back(
    run, instance, tmp_path
):
    log = tmp_path / "var" / instance / "log" / "run.log"
    process, port = paper.start_live()
    try:
        system = run(*paper_run(), **paper.settings(port))
        until(system.all_running, "all stages run", PATIENCE_S)
        until(lambda: system.executor().baskets_complete > 0, "baskets complete", PATIENCE_S)
        process.kill()
        process.wait()
        until(lambda: books(instance)[2] == 0, "all books are empty", PATIENCE_S)
        until(lambda: not reserved(instance), "nothing is on its way", PATIENCE_S)
        sent = system.executor().orders_sent
        time.sleep(3.0)
        assert system.executor().orders_sent == sent
        assert books(instance)[2] == 0
        assert system.all_running(), "nothing has ended because of it"
        process, _ = paper.start_live(port)
        until(lambda: books(instance)[2] == MARKETS, "all books are back", PATIENCE_S)
        complete = system.executor().baskets_complete
        until(lambda: system.executor().baskets_complete > complete, "it trades again", PATIENCE_S)
        until(lambda: "live data again" in log.read_text(), "it says so", PATIENCE_S)
        code, out, err = system.stop()
    finally:
        process.kill()
        process.wait()
    assert code == 0, err
    require_paper(last_json(out))
    assert "polytrio: no live data: " in err
    assert "polytrio: live data again" in err


def require_refusal(system, code, *says):
    found, _, err = system.finish(180)
    assert found == code, err
    lines = err.strip().splitlines()
    assert len(lines) == 1, err
    for words in says:
        assert re.search(words, lines[0]), lines[0]


def test_a_live_venue_that_cannot_be_reached_is_one_line_and_a_code_of_its_own(run):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    system = run(*paper_run(), **paper.settings(port))
    require_refusal(system, VenueUnreachable.exit_code, "cannot be reached", str(port), "gamma_url")


@pytest.mark.parametrize("name", ["CLOB_URL", "USER_WS_URL"])
def test_orders_of_paper_have_no_other_address_than_this_machine(run, live, name):
    foreign = {f"POLYTRIO__VENUES__{name}": "https://clob.example"}
    system = run(*paper_run(), **(paper.settings(live) | foreign))
    require_refusal(system, LiveRefused.exit_code, "clob.example", name.lower())


def test_what_is_not_mirrored_is_refused(run, live):
    system = run(*paper_run(), POLYTRIO__DESK__HOURLY="true", **paper.settings(live))
    require_refusal(system, ConfigError.exit_code, "desk.hourly")

"""`polytrio markets`: the running system's picture and the venue's, for people and for machines."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner

import desk.markets
from desk.calendar import coming_expiries
from desk.cli import main
from desk.crawler import Crawler, Unreachable
from desk.discovery import Discovery
from desk.markets import with_venue_addresses
from shm.codes import Role
from shm.control import publish_settings
from shm.errors import ConfigError, SegmentMissing, VenueRefused
from shm.fabric import Fabric
from shm.settings import Settings, SimSettings
from tests.desk.venue import CLOB, GAMMA, NEW_YORK, Ladder, Still, settings


def ladder(**some) -> Ladder:
    """Today's or tomorrow's ladder: the command looks at the real clock."""
    noon = coming_expiries(datetime.now(UTC), 1)[0].at.astimezone(NEW_YORK)
    return Ladder("BTC", noon, **some)


@pytest.fixture
def command(instance, tmp_path, monkeypatch):
    """Runs the command on an instance of its own, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    environment = {"POLYTRIO__INSTANCE": instance, "POLYTRIO__DESK__VAR_DIR": str(tmp_path)}

    def run(*arguments: str, **more: str):
        return CliRunner(env=environment | more).invoke(main, ["markets", *arguments])

    return run


@pytest.fixture
def venue(monkeypatch) -> Still:
    """What `--discover` asks."""
    still = Still()
    monkeypatch.setattr(desk.markets, "HttpVenue", lambda _session: still)
    return still


ADDRESSED = {
    "POLYTRIO__VENUES__GAMMA_URL": GAMMA,
    "POLYTRIO__VENUES__CLOB_URL": CLOB,
    "POLYTRIO__DESK__COINS": '["BTC"]',
    "POLYTRIO__DESK__DAYS": "1",
}


def running(instance: str, tmp_path, still: Still) -> Discovery:
    """A system as far as the command sees it: settings, a generation, findings."""
    tree = settings(str(tmp_path))
    publish_settings(Fabric(instance, Role.SUPERVISOR), tree)
    discovery = Discovery(Fabric(instance, Role.DESK), tree)
    asyncio.run(discovery.round(Crawler(still, tree)))
    return discovery


def test_a_fresh_look_lists_ladders_with_their_counts_and_rules(command, venue):
    venue.events = ladder().events()
    done = command("--discover", "--json", **ADDRESSED)
    assert done.exit_code == 0, done.output
    picture = json.loads(done.stdout)
    (found,) = picture["ladders"]
    assert picture["source"] == "venue"
    assert found["coin"] == "BTC"
    assert found["horizon"] == "daily"
    assert found["markets"] == {"above": 11, "range": 9, "below": 1, "top": 1}
    assert found["paired"] is True
    assert found["fee_rates"] == [0.07]
    assert found["ticks"] == [0.001]
    assert found["expiry_new_york"].endswith("12:00 New York")
    assert len(found["rules"]) == 2
    assert all("1 minute candle of BTC/USDT at 12:00 ET" in rule for rule in found["rules"])
    assert picture["findings"]["refused"] == picture["findings"]["unpaired"] == []


def test_a_mismatch_is_shown_with_both_texts(command, venue):
    venue.events = ladder(candles=("12:00", "closing at 12:00")).events()
    picture = json.loads(command("--discover", "--json", **ADDRESSED).stdout)
    assert picture["ladders"][0]["paired"] is False
    (mismatch,) = picture["findings"]["unpaired"]
    assert "BTC/USDT 12:00" in mismatch["above"][0]["text"]
    assert "BTC/USDT closing at 12:00" in mismatch["price"][0]["text"]
    people = command("--discover", **ADDRESSED).stdout
    words = " ".join(people.split())
    assert "the two families settle by different rules and are not paired" in words
    for wording in (*mismatch["above"], *mismatch["price"]):
        assert " ".join(wording["text"].split()) in words
        assert wording["rule"] in words


def test_a_family_that_is_alone_is_not_paired(command, venue):
    venue.events = ladder().events()[:1]
    picture = json.loads(command("--discover", "--json", **ADDRESSED).stdout)
    assert picture["ladders"][0]["markets"] == {"above": 11, "range": 0, "below": 0, "top": 0}
    assert picture["ladders"][0]["paired"] is False
    assert "NOT PAIRED" in command("--discover", **ADDRESSED, COLUMNS="120").stdout


def test_refusals_are_counted_by_reason_and_shown_with_their_words(command, venue):
    events = ladder().events()
    events[0]["markets"][0]["groupItemTitle"] = "1"
    events[0]["markets"][1]["acceptingOrders"] = False
    venue.events = events
    picture = json.loads(command("--discover", "--json", **ADDRESSED).stdout)
    assert picture["findings"]["reasons"] == {
        "bounds in title, question and slug cannot be read or differ": 1,
        "not open for orders": 1,
    }
    slugs = {one["slug"] for one in picture["findings"]["refused"]}
    assert slugs == {market["slug"] for market in events[0]["markets"][:2]}
    people = command("--discover", **ADDRESSED).stdout
    assert all(slug in people.replace("\n", "") for slug in slugs)


def test_a_long_list_of_refusals_is_cut_for_people_only(command, venue):
    events = ladder().events()
    for event in events:
        for market in event["markets"]:
            market["closed"] = True
    venue.events = events
    assert "and 2 more; --json has all of them" in command("--discover", **ADDRESSED).stdout
    picture = json.loads(command("--discover", "--json", **ADDRESSED).stdout)
    assert len(picture["findings"]["refused"]) == 22


def test_the_running_systems_generation_and_findings_are_shown(
    command, segments, tmp_path, monkeypatch
):
    still = Still(ladder(candles=("12:00", "closing at 12:00")).events())
    discovery = running(segments, tmp_path, still)
    picture = json.loads(command("--json").stdout)
    assert (picture["source"], picture["generation"]) == ("running", 1)
    assert picture["ladders"][0]["state"] == "active"
    assert picture["ladders"][0]["markets"]["above"] == 11
    assert len(picture["findings"]["unpaired"]) == 1
    # After its end the ladder is shown as retired until its rows are free.
    later = datetime.now(UTC) + timedelta(days=1, hours=2)
    monkeypatch.setattr(discovery, "_clock", lambda: later)
    discovery.tick()
    picture = json.loads(command("--json").stdout)
    assert [one["state"] for one in picture["ladders"]] == ["retired"]


def test_daily_and_hourly_ladders_of_one_instant_are_told_apart(command, venue):
    noon = coming_expiries(datetime.now(UTC), 1)[0].at.astimezone(NEW_YORK)
    daily = Ladder("BTC", noon)
    hour = (datetime.now(UTC) + timedelta(hours=1)).replace(minute=0, second=0, microsecond=0)
    hourly = Ladder("BTC", hour.astimezone(NEW_YORK), hourly=True)
    venue.events = [*daily.events(), *hourly.events()]
    done = command("--discover", "--json", **ADDRESSED, POLYTRIO__DESK__HOURLY="true")
    assert {one["horizon"] for one in json.loads(done.stdout)["ladders"]} == {"daily", "hourly"}


def test_a_look_at_a_running_systems_venue_takes_its_addresses(command, segments, tmp_path, venue):
    running(segments, tmp_path, Still(ladder().events()))
    venue.events = ladder().events()
    picture = json.loads(command("--discover", "--json").stdout)
    assert picture["ladders"][0]["coin"] == "BTC"
    assert all(url.startswith((GAMMA, CLOB)) for url in venue.asked)


def test_without_a_system_it_says_so_in_one_line(command):
    done = command("--json")
    assert done.exit_code == SegmentMissing.exit_code
    assert done.stderr.count("\n") == 1


def test_a_venue_that_does_not_answer_is_named(command, venue):
    venue.answers["http"] = Unreachable("http://gamma/events: HTTP 503")
    done = command("--discover", **ADDRESSED)
    assert done.exit_code == VenueRefused.exit_code
    assert "HTTP 503" in done.stderr
    assert done.stderr.count("\n") == 1


def test_part_of_the_venue_that_does_not_answer_is_said_beside_the_rest(command, venue):
    venue.events = ladder().events()
    venue.answers["keyset"] = Unreachable("listing: HTTP 500")
    assert "listing: HTTP 500" in command("--discover", **ADDRESSED).stdout


def test_addresses_are_the_venues_own_unless_given():
    real = with_venue_addresses(Settings(venue="polymarket"))
    assert real.venues.gamma_url == "https://gamma-api.polymarket.com"
    assert real.venues.clob_url == "https://clob.polymarket.com"
    local = with_venue_addresses(Settings(sim=SimSettings(port=8700)))
    assert local.venues.gamma_url == "http://127.0.0.1:8700"
    with pytest.raises(ConfigError, match=r"sim\.port"):
        with_venue_addresses(Settings())

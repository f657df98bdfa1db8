"""`polytrio baskets`, `explain`, `scan` on a still system: they say what the engine does."""

import json
import re
import time

import msgspec
import pytest
from click.testing import CliRunner

from desk.basket_list import listed
from desk.cli import main
from desk.explain import Check, explained
from desk.scanning import LAST_FILE, RECORD_FILE
from engine.gate import Candidate, Holds, Moment, judge
from shm.codes import KIND_WORDS, BasketKind, ReportKind, Role, Verdict
from shm.control import publish_settings
from shm.errors import InputError, SegmentMissing
from shm.fabric import Fabric
from shm.layout import REPORT
from shm.promoted import read_promoted
from tests.desk.stand import Stand


@pytest.fixture
def stand(segments, tmp_path) -> Stand:
    made = Stand(segments, tmp_path)
    made.fair()
    return made


@pytest.fixture
def command(instance, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    environment = {"POLYTRIO__INSTANCE": instance, "POLYTRIO__DESK__VAR_DIR": str(tmp_path)}

    def run(*arguments: str):
        return CliRunner(env=environment).invoke(main, list(arguments))

    return run


def answer(done) -> dict:
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def cheap_trio(stand: Stand) -> str:
    """Make the trio of 10 and 20 cost 1.90 before fees; its id."""
    stand.quote(0, 6_800, 7_000)  # YES above 10 at .70
    stand.quote(4, 4_000, 5_000)  # NO 10 to 20 at .60
    stand.quote(1, 4_000, 4_500)  # NO above 20 at .60
    stand.decide()
    trios = [one for one in listed(stand.settings.instance) if one.kind == "trio"]
    return max(trios, key=lambda one: one.row.net_e8).id


# --- baskets ------------------------------------------------------------------------------------


def test_every_basket_is_listed_with_what_it_lacks(stand, command):
    best = cheap_trio(stand)
    found = answer(command("baskets", "--json"))
    assert found["total"] == len(found["baskets"]) > 20
    first = found["baskets"][0]
    assert (first["id"], first["kind"], first["coin"]) == (best, "trio", "BTC")
    assert first["gross_e8"] == 10_000_000
    assert first["distance_e8"] == first["hurdle_e8"] - first["net_e8"] < 0
    assert first["size_e6"] == 100 * 10**6
    nets = [one["net_e8"] for one in found["baskets"] if one["net_e8"] is not None]
    assert nets == sorted(nets, reverse=True)


@pytest.mark.parametrize(
    ("sort", "of"),
    [("distance", "distance_e8"), ("expiry", "expiry_ms"), ("edge", None), ("depth", None)],
)
def test_the_order_is_the_one_that_was_asked_for(stand, command, sort, of):
    stand.quote(3, None, 3_000)
    stand.decide()
    found = answer(command("baskets", "--json", "--sort", sort))["baskets"]
    if of is not None:
        values = [one[of] for one in found if one[of] is not None]
        assert values == sorted(values)
    quoted = [one["net_e8"] is not None for one in found]
    if sort != "expiry":
        assert quoted == sorted(quoted, reverse=True)  # what has no price is last
    assert not all(quoted)


def test_kind_coin_and_number_choose(stand, command):
    stand.decide()
    ladders = answer(command("baskets", "--json", "--kind", "ladder", "--coin", "btc"))
    assert {one["kind"] for one in ladders["baskets"]} == {"ladder"}
    assert answer(command("baskets", "--json", "--coin", "eth"))["baskets"] == []
    assert len(answer(command("baskets", "--json", "--top", "3"))["baskets"]) == 3
    wrong = command("baskets", "--kind", "trios")
    assert wrong.exit_code == InputError.exit_code
    assert "trio, complement" in wrong.stderr


def test_the_list_for_people_has_the_same_baskets(stand, command):
    best = cheap_trio(stand)
    shown = command("baskets", "--top", "1").output
    assert best in shown
    assert "1 of" in shown


@pytest.mark.parametrize("verb", [["baskets"], ["explain", "00"], ["scan"]])
def test_without_a_system_it_says_so_in_one_line(command, verb):
    done = command(*verb)
    assert done.exit_code == SegmentMissing.exit_code
    assert done.stderr.count("\n") == 1


# --- explain ------------------------------------------------------------------------------------


def test_a_basket_is_explained_from_its_legs_to_the_last_check(stand, command):
    best = cheap_trio(stand)
    found = answer(command("explain", best[:6], "--json"))
    assert found["id"] == best
    assert [(leg["outcome"], leg["price_e4"]) for leg in found["legs"]] == [
        ("YES", 7_000), ("NO", 6_000), ("NO", 6_000),
    ]  # fmt: skip
    fees = [leg["fee_e8"] for leg in found["legs"]]
    assert fees == [1_470_000, 1_680_000, 1_680_000]
    assert found["net_e8"] == found["gross_e8"] - sum(fees) == 5_170_000
    assert found["payoff"]["by_position_e4"] == [20_000, 10_000, 20_000, 30_000, 20_000]
    parts = dict(found["hurdle_parts_e8"])
    together = parts.pop("together")
    assert sum(parts.values()) == together == found["hurdle_e8"]
    assert found["walk"][0]["end_e6"] == 100 * 10**6
    assert found["order"]["size_e6"] == 100 * 10**6
    assert all(check["passed"] is not False for check in found["checks"])


def test_the_plot_shows_the_tie_that_pays_less_and_the_void(stand, command):
    shown = command("explain", cheap_trio(stand)).output
    assert "= 10  $1.00" in shown
    assert "10 to 20  $2.00" in shown
    assert "all void  $1.50" in shown
    assert shown.count("less than promised") == 2
    assert "the engine's own last word" in shown


def failed(stand: Stand, wanted: str) -> Check:
    checks = list(explained(stand.settings.instance, wanted).checks())
    return next(check for check in checks if check.passed is False)


def test_each_check_that_fails_is_named_with_its_figures(stand):
    best = cheap_trio(stand)
    assert all(c.passed is not False for c in explained(stand.settings.instance, best).checks())
    stand.panel.set_trading(enabled=False)
    assert failed(stand, best) == Check("trading", False, "the switch is off")
    stand.panel.set_trading(enabled=True)
    stand.quote(1, 4_000, 4_500, age_ms=61_000)
    assert failed(stand, best).name == "fresh"
    stand.quote(1, 4_000, 4_500)
    stand.ingest.beat(1)
    assert failed(stand, best).name == "ingest alive"
    stand.decide()
    stand.quote(1, 2_000, 4_500)
    assert failed(stand, best).name == "edge"
    stand.quote(1, None, 4_500)
    assert failed(stand, best) == Check("quoted", False, "no usable price of market-1")


def test_what_explain_says_is_what_the_gate_of_the_engine_says(stand):
    """For every basket, fresh and stale: the checks pass exactly if the engine's gate lets it."""
    best = cheap_trio(stand)
    verdicts = set()
    for age_ms in (0, 59_000, 61_000):
        stand.quote(4, 4_000, 5_000, age_ms=age_ms)
        stand.ingest.beat(explained(stand.settings.instance, best).moment.now_ns)
        for one in listed(stand.settings.instance):
            about = explained(stand.settings.instance, one.id)
            if about.taken is None:
                continue
            tops = [about.top(leg) for leg in about.taken]
            verdict = judge(
                Candidate(about.basket, about.taken, tops),
                Moment(about.moment.now_ns, about.moment.trading, about.moment.ingest_silent_ns),
                Holds({}, {}),
                about.settings,
            )
            gate = {"trading", "ingest alive", "fresh", "together"}
            passed = all(check.passed for check in about.checks() if check.name in gate)
            assert passed is (verdict is Verdict.SIGNALLED), one.id
            verdicts.add(verdict)
    assert verdicts == {Verdict.SIGNALLED, Verdict.STALE}


def test_an_unknown_or_ambiguous_id_is_refused(stand, command):
    stand.decide()
    assert "polytrio baskets" in command("explain", "ffffffffffffffff0").stderr
    assert "more digits" in command("explain", "").stderr


def test_what_is_held_is_said_to_free_capital_when_it_is_sold(stand, command):
    best = cheap_trio(stand)
    assert answer(command("explain", best, "--json"))["inventory"]["sold"] == []
    stand.hold(1, yes_e6=100 * 10**6, free_e6=99 * 10**6)  # an order may still sell one of them
    assert answer(command("explain", best, "--json"))["inventory"]["sold"] == []
    stand.hold(1, yes_e6=100 * 10**6, free_e6=100 * 10**6)
    inventory = answer(command("explain", best, "--json"))["inventory"]
    assert inventory["sold"] == ["market-1"]
    assert inventory["freed_usd_e6"] == 100 * 10**6
    assert inventory["saved_usd_e6"] > 0
    assert "market-1 would be sold instead" in command("explain", best).output
    executor = msgspec.structs.replace(stand.settings.executor, inventory=False)
    settings = msgspec.structs.replace(stand.settings, executor=executor)
    publish_settings(Fabric(stand.settings.instance, Role.SUPERVISOR), settings)
    assert answer(command("explain", best, "--json"))["inventory"]["sold"] == []


def cooldown(stand, best: str):
    (check,) = [
        one for one in explained(stand.settings.instance, best).checks() if one.name == "cooldown"
    ]
    return check


def test_a_basket_that_cools_down_says_so_and_for_how_long(stand, command):
    best = cheap_trio(stand)
    assert cooldown(stand, best).passed
    assert "no orders yet" in cooldown(stand, best).figures
    sent = REPORT.blank()._replace(basket=int(best, 16), kind=ReportKind.SENT)
    later_ns = time.monotonic_ns() + 3_600 * 10**9  # whatever the machine is doing meanwhile
    stand.core.hear(sent, later_ns)
    assert cooldown(stand, best).passed is False
    assert re.search(r"NO  cooldown +another 3,\d{3},\d{3} ms", command("explain", best).output)
    stand.core.hear(sent, 1)
    assert cooldown(stand, best).passed
    assert "over since " in cooldown(stand, best).figures


# --- scan ---------------------------------------------------------------------------------------


def half_line(stand: Stand) -> None:
    """YES above 10 and NO 10 to 20: pays a dollar, costs 90 cents, is of no compiled family."""
    stand.quote(0, 5_800, 6_000)  # YES .60
    stand.quote(4, 7_000, 7_300)  # NO .30
    stand.quote(3, 3_900, 4_500)  # below 10 is dear
    for row in (1, 2, 5, 6):
        stand.quote(row, None, 9_500)  # nobody sells the NO that would close the chain
    stand.decide()


def test_a_scan_finds_the_trio_that_the_compiled_set_has_and_nothing_beyond(stand, command):
    best = cheap_trio(stand)
    found = answer(command("scan", "--json"))
    (ladder,) = found["ladders"]
    assert ladder["profit_usd_e6"] == ladder["compiled_usd_e6"] == 5_170_000
    assert ladder["certificate"]["no_purchase_exceeds_usd_e6"] == 5_170_000
    assert [one["basket"] for one in ladder["combinations"]] == [best]
    assert found["beyond"] == []
    assert not (stand.var / RECORD_FILE).exists()


def test_what_lies_beyond_is_shown_recorded_promoted_and_watched(stand, command):
    half_line(stand)
    (find,) = answer(command("scan", "--json"))["beyond"]
    assert {(leg["slug"], leg["outcome"]) for leg in find["legs"]} == {
        ("market-0", "YES"), ("market-4", "NO"),
    }  # fmt: skip
    assert find["payout_e4"] == 10_000
    assert find["not_promoted_because"] is None
    (line,) = (stand.var / RECORD_FILE).read_text().splitlines()
    assert json.loads(line)["more_usd_e6"] > 0
    assert "polytrio scan --promote 1" in command("scan").output

    done = command("scan", "--promote", "1")
    assert (done.exit_code, done.output) == (0, "promoted: the next generation has it\n")
    assert len(read_promoted(stand.var)) == 1
    stand.discovery.tick()
    stand.decide()
    (watched,) = [
        one for one in listed(stand.settings.instance)
        if one.kind == KIND_WORDS[BasketKind.PROMOTED]
    ]  # fmt: skip
    assert watched.row.net_e8 == find["net_e8"]
    assert watched.row.verdict in {Verdict.SIGNALLED, Verdict.BUSY}
    # Now it is compiled: a scan finds no more than the engine has.
    assert answer(command("scan", "--json"))["beyond"] == []


def test_what_cannot_be_promoted_is_refused_with_the_reason(stand, command):
    assert "polytrio scan" in command("scan", "--promote", "1").stderr
    half_line(stand)
    answer(command("scan", "--json"))
    assert "found 1 to 1" in command("scan", "--promote", "2").stderr
    path = stand.var / LAST_FILE
    (find,) = json.loads(path.read_text())
    path.write_text(json.dumps([find | {"why_not": "its legs have the weights 1:2"}]))
    refused = command("scan", "--promote", "1")
    assert refused.exit_code == InputError.exit_code
    assert "weights 1:2" in refused.stderr
    path.write_text(json.dumps([find | {"expiry_ms": 1}]))
    assert "expired" in command("scan", "--promote", "1").stderr
    assert read_promoted(stand.var) == []


def test_promoting_twice_says_so(stand, command):
    half_line(stand)
    answer(command("scan", "--json"))
    command("scan", "--promote", "1")
    assert command("scan", "--promote", "1").output == "it is promoted already\n"


def test_stale_books_are_not_scanned(stand, command):
    cheap_trio(stand)
    Stand(
        stand.settings.instance, stand.var.parent
    )  # a new ingest: all books are its predecessor's
    assert answer(command("scan", "--json"))["ladders"] == []

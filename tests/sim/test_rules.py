import json
import re
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shm.errors import ConfigError
from sim import acts, effects, toxics
from sim.faults import Faults, Subject
from sim.rules import (
    CLOCK,
    GROUPS,
    ORDER,
    Rule,
    Script,
    allowed_at,
    places_of,
    read_order,
    read_script,
    word_of,
)
from sim.truth import Truth
from tests.sim.staged import scenario, staged

DOCUMENT = Path(__file__).parents[2] / "docs" / "simulator.md"
SOURCES = Path(__file__).parents[2] / "sim"
SIMPLE = {"at": "POST /orders", "then": {"do": "lose"}}


def rule(at="order", do="kill", name="", then=None, **when):
    body = {"at": at, "when": when, "then": {"do": do, **(then or {})}, "name": name}
    return msgspec.convert(body, Rule)


def words():
    """Every word of the language, with what it stands for."""
    members = [*effects.AnyEffect.__args__, *acts.AnyAct.__args__]
    return {member.__struct_config__.tag: member for member in members}


# The document.


def examples():
    """The rules in the document, each with its line."""
    text = DOCUMENT.read_text()
    found = []
    text, _, proxy = text.partition("\n## The proxy\n")
    for block in re.finditer(r"```toml\n(.*?)```", text, re.DOTALL):
        found += msgspec.toml.decode(block[1], type=Script).rules
    assert proxy
    return found


def test_the_document_has_an_example_of_every_effect_and_act_and_all_of_them_are_right():
    shown = {word_of(one.then) for one in examples()}
    assert shown == set(words())


def test_the_document_has_an_example_of_every_toxic_of_the_proxy():
    blocks = re.findall(r"```toml\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    shown = {word_of(one.then) for one in msgspec.toml.decode(blocks[-1], type=toxics.Script).rules}
    members = [*toxics.ByteToxic.__args__, *toxics.MessageToxic.__args__]
    assert shown == {member.__struct_config__.tag for member in members}


def test_the_document_names_every_kind_of_line():
    kinds = set(re.findall(r'record\(\s*"(\w+)"', "".join(
        path.read_text() for path in SOURCES.glob("*.py")
    )))  # fmt: skip
    assert {"request", "order", "trade", "balance", "fault"} <= kinds
    text = DOCUMENT.read_text()
    assert [kind for kind in sorted(kinds) if f"`{kind}`" not in text] == []


def test_the_document_names_every_place_condition_and_answer():
    text = DOCUMENT.read_text()
    from sim.canned import ANSWERS
    from sim.rules import When

    for name in [*GROUPS, "order", "trade", "user", "market", "subscribe", "ping", "clock"]:
        assert f"`{name}`" in text, name
    for name in [*When.__struct_fields__, *ANSWERS]:
        assert f"`{name}`" in text, name


def test_every_effect_is_possible_somewhere():
    places = {"order", "trade", "user", "market", "subscribe", "ping", "clock", *GROUPS}
    for kind in words().values():
        assert any(issubclass(kind, allowed_at(place)) for place in places), kind


# Refusals.


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"then": {"do": "lose", "ms": 5}}, "unknown field `ms`"),
        ({"when": {"nht": 1}}, "unknown field `nht`"),
        ({"wehn": {}}, "unknown field `wehn`"),
        ({"then": {"do": "explode"}}, "Invalid value 'explode'"),
        ({"then": {"do": "kill"}}, "'kill' is not possible at 'POST /orders'"),
        ({"at": "POST /nothing"}, "unknown place 'POST /nothing'"),
        ({"then": {"do": "late", "ms": -1}}, "Expected `int` >= 0"),
        ({"then": {"do": "late", "ms": 1.5}}, "Expected `int`"),
        ({"when": {"chance": 0}}, "Expected `float` > 0"),
        ({"when": {"once": True, "count": 2}}, "exclude each other"),
        ({"when": {"from_ms": 5, "until_ms": 5}}, "must be after"),
        ({"then": {"do": "answer", "kind": "teapot"}}, "unknown kind 'teapot'; known are"),
        ({"then": {"do": "withdraw", "usd": "much"}}, 'an amount like "12.5"'),
        ({"then": {"do": "deposit", "usd": "all"}}, "needs an amount"),
        ({"at": "order", "then": {"do": "thin", "shares": "few"}}, "a number of shares"),
        ({"at": "order", "then": {"do": "thin", "shares": -1}}, "Expected `int` >= 0"),
        ({"then": {"do": "phantom_lock", "usd": "all"}}, "needs an amount"),
        ({"then": {"do": "fee", "rate": "7 %"}}, 'a rate like "0.07"'),
        ({"then": {"do": "manual_order", "token": "1", "shares": "all"}}, "number of shares"),
        ({"then": {"do": "manual_order", "token": "1", "price": "2"}}, "price above 1"),
        ({"at": "clock", "then": {"do": "tick", "tick": "0.01"}}, "has to name its market"),
        ({"at": "clock", "then": {"do": "deposit", "shares": "5"}}, "has to name its market"),
        ({"at": "clock", "then": {"do": "lose"}}, "not possible at 'clock'"),
        ({"at": "DELETE /orders", "then": {"do": "batch", "how": "missing"}}, "not possible"),
        ({"at": "placing", "then": {"do": "decline"}}, "not possible"),
        ({"at": "upgrade", "then": {"do": "garble", "how": "html"}}, "not possible"),
    ],
)
def test_a_wrong_rule_is_refused_with_what_is_wrong_and_where(tmp_path, change, why):
    body = json.dumps({"add": [SIMPLE | change]}).encode()
    told = read_order(body)
    assert isinstance(told, str)
    assert why in told
    assert "$.add[0]" in told
    path = tmp_path / "faults.json"
    path.write_text(json.dumps({"rules": [SIMPLE | change]}))
    with pytest.raises(ConfigError, match="--faults .*faults.json: .*" + re.escape(why)):
        read_script(path)


def test_files_are_toml_or_json_and_have_to_be_there(tmp_path):
    toml, plain = tmp_path / "faults.toml", tmp_path / "faults.json"
    toml.write_text('[[rules]]\nat = "POST /orders"\nthen = { do = "lose" }\n')
    plain.write_text(json.dumps({"rules": [SIMPLE]}))
    assert read_script(toml) == read_script(plain) == (msgspec.convert(SIMPLE, Rule),)
    with pytest.raises(ConfigError, match="No such file"):
        read_script(tmp_path / "other.toml")
    toml.write_text("[[rules")
    with pytest.raises(ConfigError, match="--faults"):
        read_script(toml)
    toml.write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="--faults"):
        read_script(toml)


def test_a_group_means_its_endpoints_and_a_place_itself():
    assert places_of("placing") == ("POST /order", "POST /orders")
    assert places_of(ORDER) == (ORDER,)
    assert places_of("elsewhere") == ()


# Conditions.


def faults(*rules, seed=1):
    book = Faults(seed, Truth())
    assert book.add(rules, 0) == ""
    return book


def times(book, subjects, place=ORDER):
    """Which of these visits were struck."""
    return [
        number
        for number, (subject, now_ms) in enumerate(subjects, start=1)
        if book.visit(place, [subject], now_ms)[0]
    ]


def visits(count, **subject):
    return [(Subject(**subject), 0)] * count


@given(st.integers(1, 12), st.integers(1, 6))
def test_nth_and_every_count_what_passes_the_filters(nth, every):
    assert times(faults(rule(nth=nth)), visits(12)) == [nth]
    assert times(faults(rule(nth=[nth, nth + 2])), visits(14)) == [nth, nth + 2]
    assert times(faults(rule(every=every)), visits(12)) == list(range(every, 13, every))
    mixed = [(Subject(side=side), 0) for side in ("BUY", "SELL") * 6]
    assert times(faults(rule(side="SELL", nth=2)), mixed) == [4]


def test_once_and_count_limit_how_often_a_rule_acts():
    assert times(faults(rule(once=True)), visits(5)) == [1]
    assert times(faults(rule(count=2, every=2)), visits(9)) == [2, 4]


def test_a_rule_is_in_force_from_one_time_to_another():
    moments = [(Subject(), now_ms) for now_ms in (0, 99, 100, 199, 200, 300)]
    assert times(faults(rule(from_ms=100, until_ms=200)), moments) == [3, 4]


def test_chance_is_drawn_from_the_seed_and_the_rules_number():
    one, two, three = (times(faults(rule(chance=0.3), seed=s), visits(200)) for s in (1, 1, 2))
    assert one == two != three
    assert 30 < len(one) < 90
    pair = faults(rule(chance=0.3), rule(chance=0.3))
    struck = [pair.visit(ORDER, [Subject()], 0)[0] for _ in range(200)]
    assert {tuple(strike.rule for strike in strikes) for strikes in struck} == {
        (), ("rule 1",), ("rule 2",), ("rule 1", "rule 2")
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value", "other"),
    [("wallet", "0xAb", "0xCd"), ("market", "m", "n"), ("token", "1", "2"), ("side", "BUY", "SELL"),
     ("leg", 2, 1), ("order_type", "FOK", "FAK"), ("event", "book", "trade"),
     ("status", "MINED", "FAILED"), ("socket", 3, 4)],
)  # fmt: skip
def test_every_filter_tells_what_is_meant_from_the_rest(name, value, other):
    subjects = [(Subject(), 0), (Subject(**{name: other}), 0), (Subject(**{name: value}), 0)]
    assert times(faults(rule(**{name: value})), subjects) == [3]


def test_a_token_is_also_found_among_the_others_of_a_frame():
    assert times(faults(rule(token="2")), [(Subject(token="1", other_tokens=("1", "2")), 0)]) == [1]


def test_a_wallet_may_be_written_in_any_case():
    assert times(faults(rule(wallet="0xAB")), [(Subject(wallet="0xab"), 0)]) == [1]


def test_a_strike_names_the_legs_that_are_meant():
    book = faults(rule(side="SELL"))
    subjects = [Subject(side=side, leg=leg) for leg, side in enumerate(("BUY", "SELL", "SELL"), 1)]
    (strike,) = book.visit(ORDER, subjects, 0)[0]
    assert strike.legs == {2, 3}


def test_rules_go_by_their_names():
    book = faults(rule(name="a"), rule())
    assert [row["name"] for row in book.rows()] == ["a", "rule 2"]
    assert book.add([rule(name="a")], 0) == "there is a rule named 'a' already"
    assert "already" in book.add([rule(name="b"), rule(name="b")], 0)
    assert len(book.rows()) == 2
    book.clear(["a", "unknown"], 0)
    assert [row["name"] for row in book.rows()] == ["rule 2"]
    assert not book.watches("trade")
    assert book.watches(ORDER)
    book.clear(None, 0)
    assert not book.watches(ORDER)


def test_the_clock_acts_once_or_as_often_as_it_is_told():
    performed = []
    book = Faults(1, Truth())
    book.perform = lambda act, _subject, now_ms: performed.append((word_of(act), now_ms)) or []
    send = {"channel": "user", "text": "x"}
    book.add([rule(CLOCK, "geoblock"), rule(CLOCK, "send", then=send, from_ms=10, count=3)], 100)
    for now_ms in range(100, 150):
        book.tick(now_ms)
    assert performed == [("geoblock", 100), ("send", 110), ("send", 120), ("send", 130)]


def test_without_a_server_nobody_carries_out_acts():
    with pytest.raises(ValueError, match="nobody carries out acts"):
        faults(rule(CLOCK, "geoblock")).tick(0)


# Over HTTP and on the command line.


@pytest.mark.slow
def test_a_script_of_the_command_line_is_in_force_from_the_first_request_on(tmp_path):
    path = tmp_path / "faults.toml"
    path.write_text(
        '[[rules]]\nat = "GET /version"\nthen = { do = "answer", kind = "restarting" }\n'
    )
    command = [sys.executable, "-m", "sim", "--port", "0", "--coins", "BTC", "--days", "1",
               "--faults", str(path)]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as child:
        url = json.loads(child.stdout.readline())["url"]
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(f"{url}/version")
        caught.value.close()
        assert caught.value.code == 425
        child.terminate()
        assert child.wait() == 0


@scenario
async def test_rules_are_added_listed_and_cleared_while_the_exchange_runs():
    async with staged() as stage:
        rows = await stage.script(SIMPLE | {"name": "a"}, SIMPLE)
        assert [(row["name"], row["at"], row["then"]["do"]) for row in rows] == [
            ("a", "POST /orders", "lose"), ("rule 2", "POST /orders", "lose")
        ]  # fmt: skip
        assert (rows[0]["seen"], rows[0]["done"]) == (0, 0)
        listed = await stage.client.call("GET", "/sim/faults")
        assert listed == (200, {"rules": rows})
        assert len(await stage.script(clear=["a"])) == 1
        status, told = await stage.client.call("POST", "/sim/faults", b'{"add":[{"at":1}]}')
        assert (status, "Expected `str`" in told["error"]) == (400, True)
        same = json.dumps({"add": [SIMPLE | {"name": "rule 2"}]}).encode()
        status, told = await stage.client.call("POST", "/sim/faults", same)
        assert (status, told) == (400, {"error": "there is a rule named 'rule 2' already"})
        assert await stage.script(clear="all") == []
        kinds = [line["kind"] for line in stage.truth("rule") + stage.truth("rule_cleared")]
        assert kinds == ["rule", "rule", "rule_cleared", "rule_cleared"]


@scenario
async def test_no_rule_stands_in_the_way_of_the_pages_behind_the_scenes():
    async with staged({"at": "rest", "then": {"do": "drop"}}) as stage:
        assert (await stage.client.call("GET", "/sim/state"))[0] == 200
        assert stage.truth("request") == []
        assert (await stage.client.call("GET", "/sim/faults"))[0] == 200


@pytest.mark.slow
def test_a_script_with_a_mistake_keeps_the_exchange_from_starting(tmp_path):
    path = tmp_path / "faults.toml"
    path.write_text('[[rules]]\nat = "order"\nthen = { do = "kil" }\n')
    command = [sys.executable, "-m", "sim", "--port", "0", "--faults", str(path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 3
    assert "Invalid value 'kil' - at `$.rules[0].then.do`" in done.stderr
    twice = '[[rules]]\nname = "x"\nat = "order"\nthen = { do = "kill" }\n' * 2
    path.write_text(twice)
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, "named 'x' already" in done.stderr) == (3, True)

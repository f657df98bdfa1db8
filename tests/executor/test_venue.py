"""Venue: whatever it answers is an answer, a reason to ask again or one to halt, never an end."""

import asyncio
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor import venue as module
from executor.auth import Credentials, RequestSigner
from executor.http import NoReply, Reply
from executor.venue import Unavailable, Venue
from executor.wallet import Wallet
from executor.wire import OpenOrder
from shm.codes import Cause
from shm.settings import Settings, WalletSettings
from tests.executor import vectors

NAME = "0x" + "ab" * 32


def venue(*answers) -> Venue:
    """A venue whose connection gives these answers."""
    wallet = Wallet(vectors.fresh_key(), WalletSettings())
    settings = Settings().with_addresses("http://127.0.0.1:9")
    made = Venue(settings, wallet)
    made._signer = RequestSigner(wallet.address, Credentials("k", "c2VjcmV0", "p"))
    script = list(answers)

    async def ask(*_about, **_more):
        return script.pop(0) if len(script) > 1 else script[0]

    made._ask = ask
    return made


def said(answer, what: str, *about):
    return asyncio.run(getattr(venue(answer), what)(*about))


READS = [("cash_usd_e6",), ("position_e6", "7"), ("open_orders",), ("trades",), ("clock",),
         ("order", NAME), ("cancel_all",)]  # fmt: skip


@pytest.mark.parametrize("text", ["", "0x", "0x10", "-5", "1.5", "1e9", " 5", "NaN", "9" * 19,
                                  "null", "\uff15", "five"])  # fmt: skip
def test_a_balance_that_is_no_number_is_no_answer(text):
    body = b'{"balance":"%s"}' % text.encode()
    for what in READS[:2]:
        assert isinstance(said(Reply(200, body), *what), Unavailable)


@pytest.mark.parametrize(("text", "value"), [("0", 0), ("123", 123), ("9" * 18, 10**18 - 1)])
def test_a_balance_that_is_one_is_taken(text, value):
    assert said(Reply(200, b'{"balance":"%s"}' % text.encode()), "cash_usd_e6") == value


@pytest.mark.parametrize("what", READS)
@pytest.mark.parametrize(
    "body",
    [b"", b"\xff\xfe", b"7", b'"text"', b"[null]", b'{"data":[{"id":null}]}', b'{"data":null}',
     b'{"balance":null}', b'{"not_canceled":[]}', b"<html>", b'{"data":[{"id":"1"', b"[" * 2_000],
)  # fmt: skip
def test_an_answer_of_another_shape_is_a_reason_to_ask_again(what, body):
    found = said(Reply(200, body), *what)
    if (what[0], body) == ("clock", b"7"):
        assert found[1] == 7
    else:
        assert isinstance(found, Unavailable)


@given(st.binary(max_size=60), st.sampled_from(READS))
def test_no_bytes_end_it(body, what):
    said(Reply(200, body), *what)


@pytest.mark.parametrize("status", [400, 404, 429, 500, 502, 503])
def test_an_error_is_a_reason_to_ask_again(status):
    assert isinstance(said(Reply(status, b'{"error":"so"}'), "trades"), Unavailable)
    assert isinstance(said(NoReply(sent=True, reason="reset"), "trades"), Unavailable)


# --- refused --------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch):
    monkeypatch.setattr(module, "FORBIDDEN_PAUSE_S", 0)


class Refusing:
    """A venue that answers from a script and remembers its requests, and what it refused."""

    def __init__(self, *answers) -> None:
        self.venue = venue(*answers)
        self.asked: list[tuple[str, dict]] = []
        self.refused: list[Unavailable] = []
        self.venue.on_refused = self.refused.append
        answer = self.venue._ask

        async def ask(method, target, headers):
            self.asked.append((f"{method} {target.partition('?')[0]}", headers))
            return await answer()

        self.venue._ask = ask

    def said(self, what: str, *about):
        return asyncio.run(getattr(self.venue, what)(*about))

    @property
    def places(self) -> list[str]:
        return [place for place, _ in self.asked]


NO, FORBIDDEN = Reply(401, b'{"error":"Unauthorized"}'), Reply(403, b"<html>403 Forbidden</html>")
CASH = "GET /balance-allowance"


@pytest.mark.parametrize("what", [*READS[:4], *READS[5:], ("log_in",)])
@pytest.mark.parametrize(("answer", "cause"), [(NO, Cause.UNAUTHORIZED), (FORBIDDEN, Cause.BANNED)])
def test_a11_a12_what_is_refused_twice_says_why_to_halt(what, answer, cause):
    one = Refusing(answer)
    found = one.said(*what)
    assert isinstance(found, Unavailable)
    assert found.cause is cause
    assert module.REFUSALS[answer.status][1] in found.reason
    assert set(one.refused) == {found}


def test_a11_after_a_401_it_is_asked_once_more_and_by_the_venues_clock():
    ours_s = int(time.time())
    one = Refusing(NO, Reply(200, str(ours_s + 3_600).encode()), Reply(200, b'{"balance":"5"}'))
    assert one.said("cash_usd_e6") == 5
    assert one.places == [CASH, "GET /time", CASH]
    assert one.refused == []
    first_s, last_s = (int(one.asked[place][1]["POLY_TIMESTAMP"]) for place in (0, 2))
    assert first_s - ours_s < 1_800 < last_s - ours_s
    assert one.venue.clock_offset_ms < -1_800_000
    # And what follows is signed by that clock at once.
    one.said("cash_usd_e6")
    assert len(one.asked) == 4
    assert int(one.asked[3][1]["POLY_TIMESTAMP"]) - ours_s > 1_800


def test_e1_before_it_was_asked_no_clock_agrees_and_one_that_is_set_since_is_seen_at_once(
    monkeypatch,
):
    one = venue(NoReply(sent=True, reason="reset"), Reply(200, str(int(time.time())).encode()))
    asyncio.run(one.clock())
    assert one.clock_offset_ms == 0
    assert not one.clock_agrees(10**12), "it has not told"
    asyncio.run(one.clock())
    assert one.clock_agrees(500)
    # The machine sleeps: that is in both clocks. Then somebody sets one of them.
    passed_ns, set_ns = 3_600_000_000_000, -2_000_000_000
    now_ns, up_ns = time.time_ns(), module.boot_ns()
    monkeypatch.setattr(module, "boot_ns", lambda: up_ns + passed_ns)
    monkeypatch.setattr(module.time, "time_ns", lambda: now_ns + passed_ns)
    assert one.clock_agrees(500)
    monkeypatch.setattr(module.time, "time_ns", lambda: now_ns + passed_ns + set_ns)
    assert not one.clock_agrees(500)
    assert -2_100 < one.clock_offset_ms < -1_900


def test_a11_a_venue_that_does_not_tell_the_time_either_is_asked_once_more_all_the_same():
    one = Refusing(NO, NoReply(sent=True, reason="reset"), Reply(200, b'{"balance":"5"}'))
    assert one.said("cash_usd_e6") == 5
    assert one.refused == []


def test_a12_one_403_is_asked_again_and_halts_nothing():
    one = Refusing(FORBIDDEN, Reply(200, b'{"balance":"5"}'))
    assert one.said("cash_usd_e6") == 5
    assert one.places == [CASH] * 2
    assert one.refused == []
    lost = Refusing(FORBIDDEN, NoReply(sent=True, reason="reset"))
    assert lost.said("cash_usd_e6") == Unavailable("reset")
    assert lost.refused == []


def test_a12_a_clock_that_is_forbidden_twice_says_why_to_halt():
    one = Refusing(FORBIDDEN)
    assert one.said("clock").cause is Cause.BANNED
    assert len(one.asked) == 2
    assert len(one.refused) == 1


def test_a_refusal_is_never_an_order_that_is_not_known():
    text = Reply(401, b'{"error":"key not found"}')
    assert Refusing(text).said("order", NAME).cause is Cause.UNAUTHORIZED


# --- answers --------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [Reply(404, b""), Reply(200, b"null"), Reply(200, b" null\n"),
                                    Reply(400, b'{"error":"order NOT found"}')])  # fmt: skip
def test_an_order_that_the_venue_does_not_know_is_known_as_such(answer):
    assert said(answer, "order", NAME) is None


def test_an_order_of_another_name_is_not_the_one_that_was_asked_for():
    body = b'{"id":"%s","status":"CANCELED"}'
    other = said(Reply(200, body % (b"0x" + b"cd" * 32)), "order", NAME)
    assert isinstance(other, Unavailable)
    assert "told of another" in other.reason
    found = said(Reply(200, body % NAME.upper().replace("0X", "0x").encode()), "order", NAME)
    assert isinstance(found, OpenOrder)


def test_every_page_is_read():
    pages = [Reply(200, b'{"data":[{"id":"%d"}],"next_cursor":"%s"}' % (n, c))
             for n, c in ((1, b"AA=="), (2, b"LTE="))]  # fmt: skip
    found = asyncio.run(venue(*pages).open_orders())
    assert [one.id for one in found] == ["1", "2"]
    assert isinstance(found[0], OpenOrder)


def test_orders_that_could_not_be_cancelled_are_asked_for_again():
    answer = Reply(200, b'{"canceled":[],"not_canceled":{"0x1":"busy"}}')
    assert isinstance(said(answer, "cancel_all"), Unavailable)

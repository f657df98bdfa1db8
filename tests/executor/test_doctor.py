"""`polytrio doctor`: whatever keeps a wallet from trading is found and named, with a remedy."""

import asyncio
import json
import subprocess
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, HTTPServer

import msgspec
import pytest

from executor import examination as exam
from executor.doctor import EXIT_FOUND, Doctor, _Market, examined, lines, listed_by
from executor.examination import (
    SHARES,
    healthy,
    of_allowances,
    of_approvals,
    of_balance,
    of_clock,
    of_code,
    of_funder,
)
from executor.funders import funder_of
from executor.keccak import checksum_address
from executor.signing import CONTRACTS
from executor.wallet import Wallet
from shm.codes import Exchange
from shm.limits import RiskSettings
from shm.settings import Settings, VenueSettings, WalletSettings
from sim.restraints import Standing
from sim.spenders import SPENDERS as CONTRACTS_THERE
from sim.wallets import SignatureType, wallet_of
from tests.executor.vectors import TEST_KEY, fresh_key
from tests.executor.vectors import load as vectors
from tests.killer.exchange import exchange
from tests.pipeline.system import POLYTRIO, ROOT, environment
from tests.sim.worlds import TOKENS

OWNER = bytes.fromhex("f39Fd6e51aad88F6F4ce6aB8827279cffFb92266")
SPENDERS = [contract for _, contract in CONTRACTS.values()]


@pytest.fixture(scope="module")
def venue():
    with exchange() as served:
        yield served


@pytest.fixture
def clean(venue):
    yield venue
    venue.clear_rules()


def settings_of(url: str, number: int = 0, funder: str = "") -> Settings:
    return Settings(
        venues=VenueSettings(clob_url=url),
        wallet=WalletSettings(signature_type=number, funder=funder),
    )


LISTED = {Exchange.STANDARD: TOKENS[0]}


def checks_of(
    settings: Settings, rpc: str | None = None, listed: dict[Exchange, str] | None = None
) -> dict[str, exam.Checked]:
    wallet = Wallet(fresh_key(), settings.wallet)
    doctor = Doctor(settings, wallet, rpc, LISTED if listed is None else listed)
    checks = asyncio.run(doctor.examine())
    names = [check.name for check in checks]
    assert len(set(names)) == len(names), "one line a finding"
    return {check.name: check for check in checks}


def logged_in(venue) -> None:
    """The test wallet has an API key, as after a first start."""
    venue.run(lambda: venue.door.venue.exchange.create_key(checksum_address(OWNER), 0))


# --- who is who -----------------------------------------------------------------------------------


@pytest.mark.parametrize("number", range(4))
def test_the_derived_wallets_are_those_of_an_independent_reading(number):
    for start in range(1, 40):
        owner = (start * 7919).to_bytes(20, "big")
        assert funder_of(owner, number) == wallet_of(checksum_address(owner), SignatureType(number))


def test_the_derived_wallets_are_the_recorded_ones(shared):
    key = vectors(shared)["key"]
    recorded = {value.lower() for value in key.values() if isinstance(value, str)}
    for number in range(4):
        assert funder_of(OWNER, number).lower() in recorded


@pytest.mark.parametrize("actual", range(4))
@pytest.mark.parametrize("configured", range(4))
def test_a25_a_wrong_signature_type_or_funder_is_found_and_the_right_one_named(actual, configured):
    funder = funder_of(OWNER, actual)
    found = of_funder(OWNER, WalletSettings(signature_type=configured, funder=funder))
    if actual == configured:
        assert found.state == "ok"
    else:
        assert found.state == "wrong"
        assert f"wallet.signature_type = {actual}" in found.remedy


@pytest.mark.parametrize("number", range(1, 4))
def test_a25_a_strangers_funder_is_found_and_the_right_one_named(number):
    funder = funder_of(b"\1" * 20, number)
    found = of_funder(OWNER, WalletSettings(signature_type=number, funder=funder))
    assert found.state == "wrong"
    assert funder_of(OWNER, number) in found.remedy


def test_money_under_another_signature_type_is_seen():
    found = of_balance({0: 0, 1: 0, 2: 5_000_000, 3: 0}, 0, 0)
    assert (found.name, found.state) == ("signature type", "wrong")
    assert "wallet.signature_type = 2" in found.remedy


def test_h3_a_balance_that_is_only_the_reserve_is_found():
    assert of_balance(dict.fromkeys(range(4), 10_000_000), 0, 10_000_000).state == "wrong"
    assert of_balance(dict.fromkeys(range(4), 10_000_001), 0, 10_000_000).state == "ok"


def test_h5_a_missing_allowance_names_its_spender():
    given = dict.fromkeys([*SPENDERS, *exam.ADAPTERS.values()], 10**12)
    assert healthy(of_allowances(given, 5_000_000))
    for spender in given:
        found = [c for c in of_allowances(given | {spender: 4_999_999}, 5_000_000)
                 if c.state == "wrong"]  # fmt: skip
        assert len(found) == 1
        assert spender in found[0].remedy


@pytest.mark.parametrize("exchange", CONTRACTS)
def test_a25_a_missing_approval_of_shares_names_the_contract_and_what_to_call(exchange):
    _, contract = CONTRACTS[exchange]
    (found,) = of_approvals(exchange, {contract: 2**256 - 1})
    assert (found.name, found.state) == (f"approval {exchange.name.lower()} exchange", "ok")
    (found,) = of_approvals(exchange, dict.fromkeys(SPENDERS, 10**12) | {contract.lower(): 0})
    assert found.state == "wrong"
    assert f"setApprovalForAll({contract}, true) on {SHARES[exchange][1]}" in found.remedy
    assert f"asset_type={SHARES[exchange][0]}" in found.remedy
    (found,) = of_approvals(exchange, {})
    assert found.state == "unchecked"


def test_a25_an_adapter_that_the_venue_names_needs_its_approval_and_others_do_not_matter():
    given = dict.fromkeys(SPENDERS, 1)
    both = of_approvals(Exchange.NEG_RISK, given | {exam.ADAPTERS["neg-risk adapter"]: 0})
    assert [(c.name, c.state) for c in both] == [
        ("approval neg_risk exchange", "ok"), ("approval neg-risk adapter", "wrong"),
    ]  # fmt: skip
    given |= {exam.ADAPTERS["neg-risk adapter"]: 0, SPENDERS[1]: 0}
    assert [c.state for c in of_approvals(Exchange.STANDARD, given)] == ["ok"]


def test_a_token_of_each_exchange_is_taken_from_what_gamma_lists():
    rows = [
        _Market(clob_token_ids='["11", "12"]'),
        _Market(clob_token_ids='["21", "22"]', neg_risk=True),
        _Market(clob_token_ids='["31"]', position_ids='["33"]', neg_risk=True, version="v2"),
        *(_Market(clob_token_ids=ids) for ids in ("", "[]", "{}", '["x"]', "[1]", '[""]')),
    ]
    assert listed_by(rows) == {
        Exchange.STANDARD: "11", Exchange.NEG_RISK: "21", Exchange.POSITION_IDS: "33",
    }  # fmt: skip


def test_a25_exchanges_that_the_venue_does_not_name_are_found():
    states = Counter(c.state for c in exam.of_contracts(SPENDERS))
    assert states == {"ok": 3}
    left = [c for c in exam.of_contracts(SPENDERS[1:]) if c.state == "wrong"]
    assert [c.name for c in left] == ["contract standard"]


@pytest.mark.parametrize(
    ("off_ms", "state"),
    [(0, "ok"), (400, "ok"), (-400, "ok"), (1_600, "wrong"), (-1_600, "wrong"), (9_000, "wrong")],
)
@pytest.mark.parametrize("phase_ms", [0, 1, 500, 999])
def test_e1_a_clock_that_is_off_is_found_and_one_that_may_be_right_is_not(off_ms, state, phase_ms):
    ours_ms = 1_795_000_000_000 + phase_ms
    second = (ours_ms + 20 + off_ms) // 1_000
    found = of_clock((ours_ms, second, ours_ms + 40), RiskSettings())
    if abs(off_ms) < 500 or abs(off_ms) > 1_500 + 40:
        assert found.state == state, found


def test_a_contract_that_is_none_and_a_wallet_that_is_one_are_found():
    assert of_code("code", "0x1", "0x6001", wanted=True).state == "ok"
    assert of_code("code", "0x1", "0x", wanted=True).state == "wrong"
    assert of_code("code", "0x1", "0x6001", wanted=False).state == "wrong"
    assert of_code("code", "0x1", None, wanted=True).state == "unchecked"


# --- asked of a venue -----------------------------------------------------------------------------


def test_a_wallet_that_can_trade_is_proven_and_what_was_not_asked_is_said(clean):
    logged_in(clean)
    checks = checks_of(settings_of(clean.url))
    assert healthy(list(checks.values()))
    proven = {name for name, check in checks.items() if check.state == "ok"}
    assert proven >= {
        "signer", "funder", "clock", "login", "standing", "balance", "contract standard",
        "contract neg_risk", "contract position_ids", "allowance standard exchange",
        "allowance adapter", "approval standard exchange", "approval adapter",
    }  # fmt: skip
    assert [name for name, check in checks.items() if check.state == "unchecked"] == ["chain"]


def test_without_a_listed_market_nobody_knows_whether_shares_can_be_sold(clean):
    logged_in(clean)
    checks = checks_of(settings_of(clean.url), listed={})
    assert checks["approval"].state == "unchecked"
    assert "approval" in exam.objection(list(checks.values()))


def test_nothing_is_sent_created_or_cancelled(clean):
    logged_in(clean)
    before = len(clean.truth("request"))
    checks_of(settings_of(clean.url))
    asked = clean.truth("request")[before:]
    assert all(line.get("method", "GET") == "GET" for line in asked)
    fresh = Wallet(fresh_key_of(7), WalletSettings())
    checks = asyncio.run(Doctor(settings_of(clean.url), fresh, None).examine())
    (login,) = [check for check in checks if check.name == "login"]
    assert login.state == "unchecked"
    assert "first start makes an API key" in login.remedy


def fresh_key_of(number: int):
    from executor.wallet import make_key

    return make_key(bytearray(number.to_bytes(32, "big")))


ADDRESS = checksum_address(OWNER)
STANDARD = CONTRACTS_THERE["standard"]
HELD = {
    "standing": lambda venue: venue.exchange.floor.restraints.standings.update(
        {ADDRESS: Standing.CLOSED_ONLY}
    ),
    "allowance standard exchange": lambda venue: (
        venue.exchange.floor.restraints.allowances_usd_e6.update({(ADDRESS, STANDARD): 0})
    ),
    "approval standard exchange": lambda venue: venue.exchange.floor.restraints.unapproved.add(
        (ADDRESS, STANDARD)
    ),
    "approval adapter": lambda venue: venue.exchange.floor.restraints.unapproved.add(
        (ADDRESS, CONTRACTS_THERE["adapter"])
    ),
    "clock": lambda venue: setattr(venue, "skew_ms", 5_000),
}


@pytest.mark.parametrize("name", HELD)
def test_what_the_venue_holds_against_the_wallet_is_found(name):
    with exchange() as own:
        logged_in(own)
        assert healthy(list(checks_of(settings_of(own.url)).values()))
        own.run(lambda: HELD[name](own.door.venue))
        checks = checks_of(settings_of(own.url))
    assert [name for name, check in checks.items() if check.state == "wrong"] == [name]
    assert checks[name].remedy


def test_e9_on_paper_no_other_machine_is_asked():
    checks = checks_of(settings_of("https://clob.example"))
    assert checks["venue"].state == "wrong"
    assert "this machine only" in checks["venue"].remedy
    assert "clock" not in checks


def test_a_venue_that_is_not_there_is_said_to_be():
    checks = checks_of(settings_of("http://127.0.0.1:9"))
    assert checks["venue"].state == "wrong"


def test_h1_a_key_file_that_does_not_open_is_the_only_finding(tmp_path):
    path = tmp_path / "key"
    path.write_text(TEST_KEY.hex()[:-2])
    path.chmod(0o600)
    settings = Settings(wallet=WalletSettings(key_file=str(path)))
    (only,) = examined(settings, None, None)
    assert (only.name, only.state) == ("key file", "wrong")
    assert TEST_KEY.hex()[:8] not in only.found


# --- asked of a chain -----------------------------------------------------------------------------


@pytest.fixture
def node():
    """A chain's JSON-RPC that says what the test wants."""
    answers: dict[str, str] = {"eth_chainId": "0x89"}

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            default = "0x" if asked["method"] == "eth_getCode" else None
            key = asked["params"][0] if asked["params"] else asked["method"]
            if isinstance(key, dict):  # a call of a contract, by all of it
                key = key["to"].lower() + key["data"]
            said = {"jsonrpc": "2.0", "id": 1, "result": answers.get(key, default)}
            self.answer(json.dumps(said))

        def do_GET(self):  # as Gamma, which lists markets
            self.answer(answers.get(self.path.partition("?")[0], "[]"))

        def answer(self, body: str) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *arguments):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1?key=x", answers
    server.shutdown()
    server.server_close()
    thread.join()


def test_a25_the_chain_is_asked_for_its_number_the_contracts_and_the_wallet(node):
    url, answers = node
    settings = settings_of("")
    checks = checks_of(settings, url)
    assert checks["chain"].state == "ok"
    assert checks["code standard"].state == "wrong"
    assert checks["code wallet"].state == "ok"  # an EOA has none
    answers.update(dict.fromkeys(SPENDERS, "0x60016001"))
    checks = checks_of(settings, url)
    assert checks["code standard"].state == checks["code neg_risk"].state == "ok"


def test_a25_the_chain_is_asked_who_may_take_shares(node):
    url, answers = node
    traded = {Exchange.NEG_RISK: "2", Exchange.POSITION_IDS: "3"}
    asked = {
        exchange: SHARES[exchange][1].lower() + "0xe985e9c5" + "".join(
            word.removeprefix("0x").lower().rjust(64, "0")
            for word in (ADDRESS, CONTRACTS[exchange][1])
        )
        for exchange in traded
    }  # fmt: skip

    def states() -> dict[str, str]:
        found = checks_of(settings_of(""), url, traded)
        return {name: check.state for name, check in found.items() if "chain approval" in name}

    names = ["chain approval neg_risk", "chain approval position_ids"]
    assert states() == dict.fromkeys(names, "unchecked")
    answers[asked[Exchange.NEG_RISK]] = "0x" + "1".rjust(64, "0")
    answers[asked[Exchange.POSITION_IDS]] = "0x" + "0" * 64
    assert states() == dict(zip(names, ("ok", "wrong"), strict=True))
    answers[asked[Exchange.NEG_RISK]] = "0x"  # no contract is there
    assert states()["chain approval neg_risk"] == "unchecked"


def test_before_anything_runs_gamma_is_asked_what_is_listed(clean, node):
    logged_in(clean)
    url, answers = node
    rows = [{"clobTokenIds": json.dumps(["1", "2"]), "negRisk": risky} for risky in (False, True)]
    answers["/markets"] = json.dumps(rows)
    venues = VenueSettings(clob_url=clean.url, gamma_url=url.partition("/v1")[0])
    checks = checks_of(msgspec.structs.replace(settings_of(""), venues=venues), listed={})
    assert checks["approval standard exchange"].state == "ok"
    assert checks["approval neg_risk exchange"].state == "ok"
    # On paper no other machine is.
    venues = msgspec.structs.replace(venues, gamma_url="https://gamma.example")
    checks = checks_of(msgspec.structs.replace(settings_of(""), venues=venues), listed={})
    assert checks["approval"].state == "unchecked"


@pytest.mark.parametrize("number", ["0x1", "0x13882", None, "nonsense"])
def test_a25_another_chain_is_found(node, number):
    url, answers = node
    answers["eth_chainId"] = number
    checks = checks_of(settings_of(""), url)
    assert checks["chain"].state == "wrong"
    assert f"code {Exchange.STANDARD.name.lower()}" not in checks


# --- as a user runs it ----------------------------------------------------------------------------


def run(instance, tmp_path, *words: str):
    return subprocess.run(
        [*POLYTRIO, "doctor", *words], cwd=ROOT, capture_output=True, text=True,
        env=environment(instance, tmp_path / "var"), start_new_session=True,
    )  # fmt: skip


def test_the_verb_prints_a_line_a_finding_and_ends_with_14_if_something_is_wrong(
    instance, tmp_path
):
    done = run(instance, tmp_path)
    assert done.returncode == EXIT_FOUND, done.stderr
    assert done.stdout.startswith("wrong     key file  no key file")
    told = json.loads(run(instance, tmp_path, "--json").stdout)
    assert told["healthy"] is False
    assert told["checks"][0]["remedy"]


def test_each_finding_is_one_line():
    checks = [exam.ok("a", "fine"), exam.wrong("longer", "bad", "mend it")]
    assert list(lines(checks)) == ["ok        a       fine", "wrong     longer  bad: mend it"]


@pytest.mark.parametrize(
    ("checks", "says"),
    [
        ([exam.ok("funder", "yours")], ""),
        ([exam.ok("funder", "yours"), exam.unchecked(exam.CHAIN, "no RPC", "name one")], ""),
        ([exam.wrong(exam.CHAIN, "is of chain 1", "name another")], "wrong: chain: is of chain 1"),
        (
            [exam.ok("login", "ok"), exam.wrong("clock", "late", "set it")],
            "wrong: clock: late: set",
        ),
        ([exam.unchecked("balance", "no answer", "ask again")], "unchecked: balance: no answer"),
    ],
)
def test_real_money_is_forbidden_by_what_is_wrong_and_by_what_nobody_could_find_out(checks, says):
    found = exam.objection(checks)
    assert says in found
    assert bool(found) == bool(says)

import json
import uuid

import pytest

from sim import auth as module
from sim.auth import KeyRing, l1_identity, l2_key, l2_signature, socket_key
from sim.limits import AUTH_SKEW_S
from tests.sim.traders import account, l1_headers, l2_headers

NOW_S = 1_795_363_200


def vectors(shared):
    return json.loads((shared / "vectors.json").read_text())


def ring_with(eoa):
    ring = KeyRing(7)
    return ring, ring.create(eoa.address, 0)


def test_the_l1_vectors_are_accepted_at_their_time(shared):
    cases = vectors(shared)["l1_auth"]
    assert len(cases) == 3
    for case in cases:
        identity = l1_identity(case["headers"], int(case["timestamp"]))
        assert identity == (case["address"], case["nonce"])


def test_an_l1_header_that_is_changed_is_refused(shared):
    case = vectors(shared)["l1_auth"][0]
    now_s = int(case["timestamp"])
    other = account(5).address
    for change in (
        {"POLY_ADDRESS": other},
        {"POLY_NONCE": "24"},
        {"POLY_TIMESTAMP": str(now_s + 1)},
        {"POLY_SIGNATURE": "0x" + "11" * 65},
        {"POLY_SIGNATURE": "nonsense"},
        {"POLY_SIGNATURE": "\udcff"},
        {"POLY_NONCE": "x"},
        {"POLY_ADDRESS": "0x1"},
    ):
        assert l1_identity(case["headers"] | change, now_s) is None, change
    assert l1_identity({}, now_s) is None


@pytest.mark.parametrize(("skew_s", "good"), [(AUTH_SKEW_S, True), (AUTH_SKEW_S + 1, False)])
def test_both_authentications_live_for_the_skew_and_no_longer(skew_s, good):
    eoa = account(1)
    ring, key = ring_with(eoa)
    headers = l2_headers(eoa.address, key.public(), ("GET", "/data/orders", b""), NOW_S)
    for now_s in (NOW_S - skew_s, NOW_S + skew_s):
        assert (l1_identity(l1_headers(eoa, NOW_S), now_s) is not None) is good
        assert (l2_key(ring, headers, "GET/data/orders", b"", now_s) is not None) is good


def test_the_l2_vectors_have_the_signatures_we_compute(shared):
    suite = vectors(shared)["l2_auth"]
    assert len(suite["cases"]) == 9
    for case in suite["cases"]:
        secret = case.get("secret", suite["creds"]["secret"])
        expected = case.get("expected_signature") or case["headers"]["POLY_SIGNATURE"]
        body = (case["body_compact"] or "").encode()
        request = case["method"] + case["path"]
        assert l2_signature(secret, str(case["timestamp"]), request, body) == expected


def test_an_l2_request_that_is_changed_is_refused():
    eoa = account(1)
    ring, key = ring_with(eoa)
    body = b'{"orderID":"0x"}'
    good = l2_headers(eoa.address, key.public(), ("DELETE", "/order", body), NOW_S)
    assert l2_key(ring, good, "DELETE/order", body, NOW_S) is key
    assert l2_key(ring, good, "DELETE/orders", body, NOW_S) is None
    assert l2_key(ring, good, "POST/order", body, NOW_S) is None
    assert l2_key(ring, good, "DELETE/order", body + b" ", NOW_S) is None
    for change in (
        {"POLY_ADDRESS": account(2).address},
        {"POLY_API_KEY": str(uuid.uuid4())},
        {"POLY_PASSPHRASE": "other"},
        {"POLY_SIGNATURE": good["POLY_SIGNATURE"][:-2] + "A="},
        {"POLY_SIGNATURE": "\udcff"},
        {"POLY_TIMESTAMP": str(NOW_S + 1)},
        {"POLY_TIMESTAMP": "+" + str(NOW_S)},
        {"POLY_TIMESTAMP": ""},
    ):
        assert l2_key(ring, good | change, "DELETE/order", body, NOW_S) is None, change
    assert l2_key(ring, {}, "DELETE/order", body, NOW_S) is None


def test_a_nonce_gives_one_key_until_it_is_deleted():
    eoa = account(1)
    ring, key = ring_with(eoa)
    assert ring.create(eoa.address, 0) is None
    assert ring.derive(eoa.address, 0) is key
    assert ring.derive(eoa.address, 1) is None
    second = ring.create(eoa.address, 1)
    assert ring.of_address(eoa.address) == [key.key, second.key]
    ring.delete(key)
    assert ring.get(key.key) is None
    assert ring.derive(eoa.address, 0) is None
    assert ring.create(eoa.address, 0).key != key.key


def test_keys_look_like_the_venues_and_depend_on_the_seed():
    address = account(1).address
    key = KeyRing(1).create(address, 0)
    assert str(uuid.UUID(key.key)) == key.key
    assert key == KeyRing(1).create(address, 0)
    assert key.secret != KeyRing(2).create(address, 0).secret


def test_there_is_an_end_to_keys(monkeypatch):
    monkeypatch.setattr(module, "MAX_API_KEYS", 2)
    ring = KeyRing(1)
    made = [ring.create(account(1).address, nonce) for nonce in range(3)]
    assert [one is not None for one in made] == [True, True, False]


def test_the_user_channel_wants_all_three_credentials():
    ring, key = ring_with(account(1))
    assert socket_key(ring, key.key, key.secret, key.passphrase) is key
    assert socket_key(ring, key.key, key.secret, "x") is None
    assert socket_key(ring, key.key, "x", key.passphrase) is None
    assert socket_key(ring, "x", key.secret, key.passphrase) is None

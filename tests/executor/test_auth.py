"""Auth: the recorded headers of both levels, byte for byte."""

from executor.auth import Credentials, RequestSigner, l1_digest, l1_headers
from executor.wallet import Wallet
from shm.settings import WalletSettings
from tests.executor import vectors


def test_the_recorded_l1_headers_are_reproduced(shared):
    wallet = Wallet(vectors.fresh_key(), WalletSettings())
    for case in vectors.load(shared)["l1_auth"]:
        digest = l1_digest(case["address"], case["timestamp"], case["nonce"])
        assert "0x" + digest.hex() == case["digest"]
        assert l1_headers(wallet, case["timestamp"], case["nonce"]) == case["headers"]


def test_the_recorded_l2_headers_are_reproduced(shared):
    recorded = vectors.load(shared)["l2_auth"]
    creds = recorded["creds"]
    credentials = Credentials(creds["apiKey"], creds["secret"], creds["passphrase"])
    wallet = Wallet(vectors.fresh_key(), WalletSettings())
    signer = RequestSigner(wallet.address, credentials)
    assert len(recorded["cases"]) == 9
    for case in recorded["cases"]:
        body = (case["body_compact"] or "").encode()
        if "headers" in case:
            headers = signer.headers(case["timestamp"], case["method"], case["path"], body)
            assert headers == case["headers"]
        else:  # the official client's own unit-test vector has another secret
            official = RequestSigner("", Credentials("", case["secret"], ""))
            headers = official.headers(case["timestamp"], case["method"], case["path"], body)
            assert headers["POLY_SIGNATURE"] == case["expected_signature"]


def test_credentials_do_not_print_themselves():
    credentials = Credentials("key", "c2VjcmV0", "pass")
    assert "key" not in repr(credentials)
    assert "c2VjcmV0" not in f"{credentials} {[credentials]}"

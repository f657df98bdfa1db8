"""Prepared nonces: each used once, whatever forks, dies, runs in parallel or fails."""

import collections
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from coincurve import PublicKey

from executor.curve import PlainKey
from executor.keccak import keccak
from shm import backend
from tests.conftest import require_or_skip
from tests.executor.vectors import TEST_KEY, fresh_key

ROOT = Path(__file__).parents[2]
GROUP_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


@pytest.fixture
def key():
    require_or_skip(backend.NATIVE, "the compiled kernels")
    return fresh_key()


def fill(key, count: int) -> None:
    while key.prepare(count):
        pass
    assert key.pooled == count


def digest(number: int) -> bytes:
    return keccak(b"digest %d" % number)


def require_valid(key, message: bytes, signature: bytes) -> None:
    recovered = PublicKey.from_signature_and_message(
        signature[:64] + bytes([signature[64] - 27]), message, hasher=None
    )
    assert recovered.format(compressed=False)[1:] == key.public
    assert int.from_bytes(signature[32:64], "big") <= GROUP_ORDER // 2


def test_a_key_signs_as_coincurve_does_until_it_is_asked_to_prepare(key):
    plain = PlainKey(bytearray(TEST_KEY))
    assert key.public == plain.public
    for number in range(50):
        assert key.sign(digest(number)) == plain.sign(digest(number))
    assert (key.prepared, key.fallbacks) == (0, 0)


def test_prepared_signatures_are_valid_low_and_all_different(key):
    seen = set()
    for round_ in range(8):
        fill(key, 512)
        for number in range(512):
            signature = key.sign(digest(number))
            require_valid(key, digest(number), signature)
            seen.add(signature[:32])
        assert len(seen) == 512 * (round_ + 1)
    assert (key.prepared, key.fallbacks) == (4096, 0)


def test_an_empty_pool_falls_back_to_the_deterministic_nonce_and_counts_it(key):
    fill(key, 3)
    plain = PlainKey(bytearray(TEST_KEY))
    signatures = [key.sign(digest(1)) for _ in range(5)]
    assert len(set(signatures[:3])) == 3
    assert signatures[3] == signatures[4] == plain.sign(digest(1))
    assert (key.prepared, key.fallbacks) == (3, 2)


def test_signing_never_refills(key):
    fill(key, 10)
    for number in range(4):
        key.sign(digest(number))
    assert key.pooled == 6


def test_the_pool_has_a_limit(key):
    fill(key, 512)
    assert not key.prepare(100_000)
    assert key.pooled == 512


def test_a_forked_child_has_neither_nonces_nor_key(key):
    fill(key, 16)
    read, write = os.pipe()
    child = os.fork()
    if child == 0:  # nothing but what is under test: pytest must not come back here
        try:
            told = f"pooled {key.pooled} "
            try:
                key.sign(digest(1))
                told += "signed"
            except ValueError as error:
                told += str(error)
            told += f" prepared more {key.prepare(16)}"
            os.write(write, told.encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    told = os.read(read, 1000).decode()
    os.close(read)
    os.close(write)
    assert told.startswith("pooled 0 ")
    assert "wiped when it was forked" in told
    assert told.endswith("prepared more False")
    assert key.pooled == 16
    require_valid(key, digest(2), key.sign(digest(2)))


def test_threads_that_sign_and_refill_never_share_a_nonce(key):
    signed = collections.defaultdict(list)
    stop = threading.Event()

    def refill():
        while not stop.is_set():
            key.prepare(64)

    def sign(me: int):
        for number in range(1_500):
            signed[me].append(key.sign(digest(number))[:32])

    fill(key, 64)
    refillers = [threading.Thread(target=refill) for _ in range(2)]
    signers = [threading.Thread(target=sign, args=(me,)) for me in range(3)]
    for thread in (*refillers, *signers):
        thread.start()
    for thread in signers:
        thread.join()
    stop.set()
    for thread in refillers:
        thread.join()
    fallbacks = {PlainKey(bytearray(TEST_KEY)).sign(digest(n))[:32] for n in range(1_500)}
    made = [r for rs in signed.values() for r in rs if r not in fallbacks]
    assert len(made) == key.prepared > 0
    assert len(set(made)) == len(made)


def test_an_exception_between_two_signatures_brings_no_nonce_back(key):
    fill(key, 4)
    first = key.sign(digest(1))
    with pytest.raises(ValueError, match="digest of"):
        key.sign(b"short")
    assert key.pooled == 3
    assert key.sign(digest(1))[:32] != first[:32]


SIGNER = """
import sys
from executor.keccak import keccak
from tests.executor.vectors import fresh_key
key = fresh_key()
while key.prepare(32): pass
while True:
    sys.stdout.write(key.sign(keccak(b"the same")).hex()[:64] + "\\n")
    sys.stdout.flush()
    key.prepare(32)
"""


def test_no_nonce_is_used_again_after_kill_9_and_a_restart():
    require_or_skip(backend.NATIVE, "the compiled kernels")
    seen: list[str] = []
    for _ in range(6):
        process = subprocess.Popen(
            [sys.executable, "-c", SIGNER], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        seen += [process.stdout.readline().strip() for _ in range(40)]
        process.send_signal(signal.SIGKILL)
        rest = process.communicate()[0].split("\n")[:-1]
        seen += [line for line in rest if len(line) == 64]
    deterministic = PlainKey(bytearray(TEST_KEY)).sign(keccak(b"the same")).hex()[:64]
    made = [line for line in seen if line != deterministic]
    assert len(made) >= 6 * 40
    assert len(set(made)) == len(made)


def test_the_points_look_uniform(key):
    """Chi-squared over the bytes of r: a biased nonce would be a leak of the key.

    255 degrees of freedom: 400 is exceeded by chance once in a hundred million runs.
    """
    counts = collections.Counter()
    total = 0
    for _ in range(12):
        fill(key, 512)
        for number in range(512):
            counts.update(key.sign(digest(number))[:32])
            total += 32
    expected = total / 256
    chi_squared = sum((counts[byte] - expected) ** 2 / expected for byte in range(256))
    assert chi_squared < 400


def test_the_secret_is_wiped_where_it_came_from():
    for make in (PlainKey, fresh_key_of):
        secret = bytearray(TEST_KEY)
        make(secret)
        assert secret == bytes(32)


def fresh_key_of(secret: bytearray):
    from executor.wallet import make_key

    return make_key(secret)


@pytest.mark.parametrize("secret", [bytes(32), b"\xff" * 32, b"", b"\x01" * 31, b"\x01" * 33])
def test_what_is_no_key_is_refused(secret):
    for make in (PlainKey, fresh_key_of):
        with pytest.raises(ValueError):
            make(bytearray(secret))


def test_the_secret_lies_in_memory_that_is_not_dumped(key):
    assert key.pooled == 0
    flags = [line for line in Path("/proc/self/smaps").read_text().splitlines()
             if line.startswith("VmFlags:")]  # fmt: skip
    assert any({"dd", "wf"} <= set(line.split()) for line in flags)

"""C7 finds a secret in every place and shape, and nothing where there is none."""

import base64
import io
import json
import logging
import os
import secrets

import pytest

from tests.crash.canaries import PIECE_BYTES, c7_hidden, canaries_of, places_of
from tests.crash.hand import hand, scenario
from tests.pipeline.needles import found_in, needles

KEY, SECRET = secrets.token_bytes(32), secrets.token_bytes(32)
PASSPHRASE = secrets.token_hex(32)


@pytest.fixture
def system(tmp_path):
    """(key file, credentials, folder with a log)."""
    key_file, credentials = tmp_path / "paper.key", tmp_path / "killer.credentials"
    key_file.write_text(KEY.hex() + "\n")
    handed = {"address": "0x1", "key": "k", "passphrase": PASSPHRASE}
    handed["secret"] = base64.urlsafe_b64encode(SECRET).decode()
    credentials.write_text(json.dumps(handed))
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "executor.log").write_text("nothing to see\n")
    return key_file, credentials, tmp_path


def checked(system, pids=()):
    key_file, credentials, folder = system
    places = places_of(folder, [], pids, (key_file, credentials))
    return c7_hidden(places, canaries_of(key_file, credentials))


def test_a_secret_where_it_belongs_is_no_finding(system):
    assert checked(system, [os.getpid()]) == ([], 3)


@pytest.mark.parametrize(
    ("shown", "name"),
    [
        (KEY, "key"),
        (KEY.hex().upper().encode(), "key"),
        (repr(KEY).encode(), "key"),
        (str(int.from_bytes(KEY)).encode(), "key"),
        (base64.urlsafe_b64encode(SECRET), "secret"),
        (base64.b64encode(SECRET), "secret"),
        (SECRET, "secret"),
        (PASSPHRASE.encode(), "passphrase"),
    ],
)
def test_c7_finds_a_secret_in_any_shape_in_any_file(system, shown, name):
    place = system[2] / "logs" / "deep"
    place.mkdir()
    (place / "core").write_bytes(b"\0" * (PIECE_BYTES - 5) + shown + b"\n")
    (finding,), _ = checked(system)
    assert finding.check == "C7"
    assert name in finding.text
    assert "core" in finding.text


def test_c7_looks_at_segments_of_shared_memory(system, tmp_path_factory):
    key_file, credentials, folder = system
    segment = tmp_path_factory.mktemp("shm") / "polytrio.x.signals"
    segment.write_bytes(bytes(4_096) + KEY)
    places = places_of(folder, [segment], [], (key_file, credentials))
    (finding,), _ = c7_hidden(places, canaries_of(key_file, credentials))
    assert str(segment) in finding.text


def test_without_secrets_nothing_is_said_to_be_clean(tmp_path):
    with pytest.raises(FileNotFoundError):
        canaries_of(tmp_path / "paper.key", tmp_path / "killer.credentials")


@scenario
async def test_h8_a_log_in_tells_no_log_the_secret(tmp_path):
    told = io.StringIO()
    ear = logging.StreamHandler(told)
    logging.getLogger("executor").addHandler(ear)
    try:
        async with hand(tmp_path) as one:
            credentials = one.venue.credentials
    finally:
        logging.getLogger("executor").removeHandler(ear)
    secret = base64.urlsafe_b64decode(credentials.secret)
    wanted = needles(secret) | {credentials.secret.encode(), credentials.passphrase.encode()}
    assert not found_in(told.getvalue().encode(), wanted)

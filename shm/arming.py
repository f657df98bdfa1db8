"""Arming: how trading is allowed again after a kill, or for the first time with real money.

The operator's word is the file `ARM`: it names the nonce of the kill (0 if there is none), who says
so, and, with real money, the wallet's address. The executor takes it when its ledger is true
(`clear`), and a press in between wins: it is another nonce, or a file that is not cleared.

    ARM  --executor-->  ARM.accepted   the presses get other names, and still count
                        (a pause: a `touch` that had found the old name shows now)
                        the presses are removed; the killer opens the latch, since the nonce that
                        was accepted is the latch's own
                        ARM.accepted is removed: done

A crash at any step leaves the kill standing, or the arming done.
"""

import asyncio
import os
import secrets
import time
from contextlib import suppress
from pathlib import Path

import msgspec

from shm import wordfiles
from shm.kill import ACCEPTED, ARM, KILL, Kill, Pressed, pressed, standing
from shm.wordfiles import put, take_away

REFUSED = "ARM.refused"
VALID_MS = 300_000
"""How long the operator's word counts."""
FUTURE_MS = 60_000
PAUSE_S = 0.1
LATCH_PATIENCE_S = 5.0
_POLL_S = 0.01


class ArmRequest(msgspec.Struct, frozen=True):
    """What the operator said."""

    nonce: int
    actor: str
    wallet: str
    wall_ms: int


class Refused(msgspec.Struct, frozen=True):
    """Why the executor did not take it."""

    nonce: int
    reason: str


def request_arm(var_path: Path, nonce: int, actor: str, wallet: str = "") -> ArmRequest:
    """Leave the operator's word for the executor; OSError if there is no room for it."""
    request = ArmRequest(nonce, actor, wallet, time.time_ns() // 1_000_000)
    take_away(var_path / REFUSED)
    take_away(var_path / ARM)
    put(var_path / ARM, msgspec.json.encode(request))
    return request


def arm_requested(var_path: Path) -> ArmRequest | None:
    """The operator's word that waits for the executor. What cannot be read is taken away."""
    request = _request(var_path / ARM)
    if request is None and os.path.lexists(var_path / ARM):
        request = _request(var_path / ARM)  # it may have come between the two looks
        if request is None:
            refuse(var_path, 0, "what it says cannot be read: run `polytrio arm` again")
    return request


def accepted(var_path: Path) -> ArmRequest | None:
    """The arming that the executor has begun."""
    return _request(var_path / ACCEPTED)


def refusal(request: ArmRequest, kill: Pressed, *, wallet: str, live: bool, now_ms: int) -> str:
    """Why this word is not good enough; empty if it is."""
    if request.nonce != kill.nonce:
        return "everything was stopped again after it was given: run `polytrio arm` again"
    if not -FUTURE_MS <= now_ms - request.wall_ms <= VALID_MS:
        return f"it is {(now_ms - request.wall_ms) // 1000} s old: run `polytrio arm` again"
    if live and request.wallet.lower() != wallet.lower():
        return f"with real money type the wallet's address: `polytrio arm --wallet {wallet}`"
    return ""


def refuse(var_path: Path, nonce: int, reason: str) -> None:
    """Take the operator's word away and leave the reason in its place."""
    take_away(var_path / REFUSED)
    with suppress(OSError):  # without room for the reason the word is still taken away
        put(var_path / REFUSED, msgspec.json.encode(Refused(nonce, reason)))
    for name in (ARM, ACCEPTED):
        take_away(var_path / name)


def refused(var_path: Path) -> Refused | None:
    """Why the last word was not taken."""
    return wordfiles.read(var_path / REFUSED, Refused)


async def clear(kill: Kill, request: ArmRequest) -> str:
    """Carry out an arming whose `refusal` is empty; why it failed, or "" when nothing is killed.

    Call it when the ledger has been found true, and arm only after it has said "".
    """
    var_path = kill.var_path
    seen = pressed(var_path)
    if seen.nonce != request.nonce:
        return _gave_up(var_path, request)
    take_away(var_path / ACCEPTED)
    (var_path / ARM).rename(var_path / ACCEPTED)
    for press in seen.presses:
        press.path.rename(var_path / f"{KILL}.clearing.{secrets.token_hex(4)}")
    await asyncio.sleep(PAUSE_S)
    again = pressed(var_path)
    if again.nonce != request.nonce:
        return _gave_up(var_path, request)
    for press in again.presses:
        press.path.unlink(missing_ok=True)
    deadline_s = time.monotonic() + LATCH_PATIENCE_S
    while kill.look():
        if standing(var_path):
            return _gave_up(var_path, request)
        if time.monotonic() > deadline_s:
            refuse(var_path, request.nonce, "the killer does not open the latch: see its log")
            return "the killer does not open the latch"
        await asyncio.sleep(_POLL_S)
    (var_path / ACCEPTED).unlink(missing_ok=True)
    return ""


def _gave_up(var_path: Path, request: ArmRequest) -> str:
    reason = "everything was stopped again meanwhile"
    refuse(var_path, request.nonce, f"{reason}: run `polytrio arm` again")
    return reason


def _request(path: Path) -> ArmRequest | None:
    return wordfiles.read(path, ArmRequest)

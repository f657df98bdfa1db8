"""Fixtures of the verdict: an eventful run of the exchange, and copies to plant faults in."""

import asyncio
import copy

import pytest

from tests.sim.eventful import eventful


@pytest.fixture(scope="module")
def recorded():
    return asyncio.run(eventful())


@pytest.fixture
def lines(recorded):
    return copy.deepcopy(recorded[0])


@pytest.fixture
def wallets(recorded):
    return set(recorded[1])

"""One exchange for all tests of the killer, and a scene of its own for each."""

from collections.abc import Callable, Iterator
from itertools import count

import pytest

from tests.killer.exchange import Exchange, exchange
from tests.killer.scene import Scene

WALLETS = count(1)


@pytest.fixture(scope="package")
def _served() -> Iterator[Exchange]:
    with exchange() as served:
        yield served


@pytest.fixture
def venue(_served: Exchange) -> Iterator[Exchange]:
    """The exchange, without rules."""
    yield _served
    _served.clear_rules()


@pytest.fixture
def wallet() -> int:
    """Number of a wallet that nobody else has."""
    return next(WALLETS)


@pytest.fixture
def scenes(instance, tmp_path) -> Iterator[Callable[..., Scene]]:
    """Makes scenes, and ends their processes."""
    made: list[Scene] = []

    def make(url: str, **killer) -> Scene:
        made.append(Scene(instance, tmp_path / "var", url, **killer))
        return made[-1]

    yield make
    for scene in made:
        scene.end()


@pytest.fixture
def scene(scenes, venue) -> Scene:
    """A scene on the exchange."""
    return scenes(venue.url)

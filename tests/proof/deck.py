"""All scenarios that must hold."""

from tests.proof import scenarios, successions

SCENARIOS = (
    scenarios.RING_PUBLISH,
    scenarios.RING_REUSE,
    scenarios.RING_BATCH,
    scenarios.RING_PEEK_GOING,
    scenarios.RING_PEEK_COMING,
    scenarios.RING_SLEEP,
    scenarios.LATCH,
    scenarios.DIRTY_AGAIN,
    scenarios.DIRTY_FIRST,
    successions.STALE_LATCH,
    successions.STALE_MARK,
    successions.STALE_PUSH,
    successions.ROLE_ROW,
    successions.OPEN_REUSE,
    *map(successions.producer_killed, successions.PRODUCER_KILLS),
    *map(successions.consumer_killed, successions.CONSUMER_KILLS),
)

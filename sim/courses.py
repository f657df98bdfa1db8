"""The course of a trade that a rule has chosen: which states come, and when after the match."""

from collections.abc import Iterable
from typing import Any

from sim.effects import Fail, Retry, Stuck
from sim.trades import Course, TradeStatus


def course_of(effects: Iterable[Any], good: Course) -> Course:
    """The course that the last of these effects asks for; `good` when there is none."""
    course = good
    for effect in effects:
        if isinstance(effect, Stuck):
            course = ()
        elif isinstance(effect, Fail):
            course = ((effect.ms, TradeStatus.FAILED),)
            if effect.retrying:
                course = ((effect.ms // 2, TradeStatus.RETRYING), *course)
        elif isinstance(effect, Retry):
            course = _retried(effect, good)
    return course


def _retried(effect: Retry, good: Course) -> Course:
    steps = [(min(good[0][0], effect.ms), TradeStatus.MINED)]
    at_ms = effect.ms
    for turn in range(effect.times):
        steps.append((at_ms, TradeStatus.RETRYING))
        at_ms += effect.again_ms
        last = turn == effect.times - 1
        if last and effect.ending == "FAILED":
            steps.append((at_ms, TradeStatus.FAILED))
            continue
        steps.append((at_ms, TradeStatus.MINED))
        at_ms += effect.again_ms
        if last:
            steps.append((at_ms, TradeStatus.CONFIRMED))
    return tuple(steps)

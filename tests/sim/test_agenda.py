from hypothesis import given
from hypothesis import strategies as st

from sim.agenda import Agenda
from sim.events import Notice


def noting(log, name):
    def action(now_ms):
        log.append((now_ms, name))
        return [Notice(str(name), ())]

    return action


@given(st.lists(st.integers(0, 100), max_size=20), st.lists(st.integers(0, 30), max_size=10))
def test_actions_run_in_order_of_time_and_each_once(times, steps):
    agenda, log, told = Agenda(), [], []
    for index, due_ms in enumerate(times):
        agenda.at(due_ms, noting(log, index))
    now = 0
    for step in [*steps, 200]:
        now += step
        told += agenda.run(now)
    order = sorted(range(len(times)), key=lambda index: (times[index], index))
    assert [name for _, name in log] == order
    assert [event.group for event in told] == [str(name) for name in order]
    assert all(ran_ms >= times[name] for ran_ms, name in log)


def test_what_is_put_in_for_now_waits_for_the_next_step():
    agenda, log = Agenda(), []

    def again(now_ms):
        log.append(now_ms)
        agenda.at(now_ms, again)
        return []

    agenda.at(0, again)
    agenda.run(0)
    agenda.run(0)
    assert log == [0, 0]

from sim.modes import Engine, Mode


def test_a_restart_is_followed_by_post_only_mode_and_then_by_nothing():
    engine = Engine()
    engine.restart(1_000, 90_000, 120_000)
    assert engine.mode(90_999) is Mode.RESTARTING
    assert engine.left_s(90_999) == 1
    assert engine.mode(91_000) is Mode.POST_ONLY
    assert engine.left_s(91_000) == 120
    assert engine.mode(211_000) is Mode.NORMAL
    assert engine.left_s(211_000) == 60


def test_a_mode_lasts_until_its_time_or_until_further_notice():
    engine = Engine()
    engine.set(Mode.DISABLED, None)
    assert engine.mode(10**12) is Mode.DISABLED
    engine.set(Mode.CANCEL_ONLY, 500)
    assert (engine.mode(499), engine.mode(500)) == (Mode.CANCEL_ONLY, Mode.NORMAL)

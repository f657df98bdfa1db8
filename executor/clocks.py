"""Our clock beside the venue's, which tells whole seconds. Pure."""


def offset_ms(before_ms: int, second: int, after_ms: int) -> int:
    """How far our clock is ahead of the venue's, at least.

    Our ms before asking, the venue's second, our ms after it answered.
    """
    first_ms, last_ms = second * 1_000, second * 1_000 + 999
    if before_ms > last_ms:
        return before_ms - last_ms
    return min(0, after_ms - first_ms)

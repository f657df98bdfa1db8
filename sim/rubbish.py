"""WebSocket frames that no honest server sends, as ready bytes. Pure."""

from sim.delivery import close_frame, raw_frame, text_frame
from sim.effects import Rubbish

DEEP_LEVELS = 100_000
HUGE_BYTES = 10_000_000
_BAD_ELEMENT = '{"event_type":"price_change", "market":7, "price_changes":[{"asset_id":null}]}'
_UNKNOWN = '{"event_type":"something_new", "market":"0x00", "payload":{"a":[1, 2]}}'


def rubbish(kind: Rubbish, frame: str) -> bytes:
    """The bytes; `frame` is the text of a good frame, for kinds that are partly good."""
    made = {
        "text": lambda: text_frame("upstream connect error or disconnect/reset before headers"),
        "array": lambda: text_frame('[1, null, "x", [], {}]'),
        "unknown_event": lambda: text_frame(_UNKNOWN),
        "bad_element": lambda: text_frame(f"[{_BAD_ELEMENT}, {frame}]"),
        "deep": lambda: text_frame("[" * DEEP_LEVELS),
        "huge": lambda: text_frame('{"event_type":"' + "x" * HUGE_BYTES + '"}'),
        "binary": lambda: raw_frame(0x82, frame.encode()),
        "utf8": lambda: raw_frame(0x81, b'{"event_type":"\xff\xc3("}'),
        "rsv1": lambda: raw_frame(0xC1, b"\x00" * 20),
        "opcode": lambda: raw_frame(0x83, b"reserved"),
        "fragment": lambda: raw_frame(0x09, b"half a ping"),
        "masked": lambda: bytes((0x81, 0x82, 1, 2, 3, 4)) + b"xx",
        "close_code": lambda: close_frame(999),
    }
    return made[kind]()

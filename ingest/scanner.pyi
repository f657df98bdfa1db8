from ingest.wire import Event

LAYOUT_ID: str

def scan_frame(frame: bytes) -> list[Event] | None: ...

from picows import WSListener

from ingest.native import Keeper
from ingest.picows_link import Session

LAYOUT_ID: str

class Listener(WSListener):
    heard_ns: int
    carried: int
    def __init__(self, session: Session, keeper: Keeper, longest: int) -> None: ...

"""The venue's book hash (protocol.md A.7): SHA-1 over one exact JSON text.

The level texts come in ready; nothing here parses or formats a number.
"""

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BookText:
    """Everything the hash covers, as the venue writes it; `bids` ascend and `asks` descend."""

    market: str
    asset_id: str
    timestamp: str
    bids: list[str]
    asks: list[str]
    min_order_size: str
    tick_size: str
    neg_risk: bool
    last_trade_price: str

    def serialized(self, book_hash: str = "") -> str:
        """The JSON text that is hashed, and, with the hash put in, the body of GET /book."""
        return (
            f'{{"market":"{self.market}","asset_id":"{self.asset_id}",'
            f'"timestamp":"{self.timestamp}","hash":"{book_hash}",'
            f'"bids":[{",".join(self.bids)}],"asks":[{",".join(self.asks)}],'
            f'"min_order_size":"{self.min_order_size}","tick_size":"{self.tick_size}",'
            f'"neg_risk":{"true" if self.neg_risk else "false"},'
            f'"last_trade_price":"{self.last_trade_price}"}}'
        )


def book_hash(text: BookText) -> str:
    """Lower-case hex SHA-1 of the serialized book with an empty hash field."""
    return hashlib.sha1(text.serialized().encode(), usedforsecurity=False).hexdigest()

"""What keeps an account from trading although it has money: its standing, allowances, locks.

Nothing here is set in a usual run; rules set it (`acts`). Amounts in micro-dollars.
"""

import enum
from dataclasses import dataclass, field


class Standing(enum.StrEnum):
    """How the venue looks at a signer."""

    NORMAL = "normal"
    CLOSED_ONLY = "closed_only"
    BANNED = "banned"


@dataclass(slots=True)
class Restraints:
    """By signer: standing. By wallet: what contracts may take, and what counts as spoken for.

    A wallet without an entry has an endless allowance and no lock.
    """

    standings: dict[str, Standing] = field(default_factory=dict)
    allowances_usd_e6: dict[str, int] = field(default_factory=dict)
    locks_usd_e6: dict[str, int] = field(default_factory=dict)

    def standing(self, signer: str) -> Standing:
        """How the venue looks at a signer."""
        return self.standings.get(signer, Standing.NORMAL)

    def usable_usd_e6(self, wallet: str, cash_usd_e6: int) -> int:
        """The part of the cash that contracts may take."""
        return min(cash_usd_e6, self.allowances_usd_e6.get(wallet, cash_usd_e6))

    def locked_usd_e6(self, wallet: str) -> int:
        """Cash that counts as spoken for by matched orders, whatever became of them."""
        return self.locks_usd_e6.get(wallet, 0)

"""What keeps an account from trading although it has money: standing, allowances, approvals, locks.

Nothing here is set in a usual run; rules set it (`acts`). Amounts in micro-dollars. As on the
chain, cash and shares are released to each contract by itself, and the one without the other.
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
    """By signer: standing. By wallet and contract: what may be taken. By wallet: what is locked.

    A wallet without an entry has endless allowances, has approved every contract for its shares,
    and has no lock.
    """

    standings: dict[str, Standing] = field(default_factory=dict)
    allowances_usd_e6: dict[tuple[str, str], int] = field(default_factory=dict)
    unapproved: set[tuple[str, str]] = field(default_factory=set)
    """Contracts that may not take a wallet's shares."""
    locks_usd_e6: dict[str, int] = field(default_factory=dict)

    def standing(self, signer: str) -> Standing:
        """How the venue looks at a signer."""
        return self.standings.get(signer, Standing.NORMAL)

    def usable_usd_e6(self, wallet: str, spender: str, cash_usd_e6: int) -> int:
        """The part of the cash that a contract may take."""
        return min(cash_usd_e6, self.allowances_usd_e6.get((wallet, spender), cash_usd_e6))

    def approved(self, wallet: str, spender: str) -> bool:
        """Whether a contract may take the wallet's shares."""
        return (wallet, spender) not in self.unapproved

    def locked_usd_e6(self, wallet: str) -> int:
        """Cash that counts as spoken for by matched orders, whatever became of them."""
        return self.locks_usd_e6.get(wallet, 0)

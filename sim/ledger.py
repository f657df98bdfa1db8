"""Cash, tokens, collateral and fees of every wallet, in integers, with nothing made or lost.

A movement is a balanced set of changes; applying one that does not balance raises. The sum of all
cash, all collateral behind minted sets and all fees equals what was paid in, always; and for each
market the tokens of either outcome equal the collateral.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

DUST = "dust"
"""Wallet that gets the micro-dollars which no half of an odd holding can have."""
OUTSIDE = "outside"
"""Wallet that stands for the rest of the world: withdrawals go there, deposits come from it."""


class UnbalancedMovement(ValueError):
    """The changes do not add up to zero; a defect of the caller."""


@dataclass(frozen=True, slots=True)
class Movement:
    """One booking. `tokens` are (wallet, token id, micro-shares); all money in micro-dollars."""

    condition_id: str
    cash: tuple[tuple[str, int], ...]
    tokens: tuple[tuple[str, str, int], ...]
    collateral_usd_e6: int = 0
    fee_usd_e6: int = 0
    fee_payer: str = ""

    def reversed(self) -> "Movement":
        """The booking that undoes this one."""
        return Movement(
            self.condition_id,
            tuple((wallet, -by) for wallet, by in self.cash),
            tuple((wallet, token, -by) for wallet, token, by in self.tokens),
            -self.collateral_usd_e6,
            -self.fee_usd_e6,
            self.fee_payer,
        )


@dataclass(slots=True)
class Account:
    """One wallet. Positions hold nonzero sizes only."""

    opening_usd_e6: int = 0
    cash_usd_e6: int = 0
    fees_usd_e6: int = 0
    positions: dict[str, int] = field(default_factory=dict)


class Ledger:
    """All wallets, the collateral pool of each market, and the fees taken.

    `watch` hears of every change, after it was made, with its cause.
    """

    def __init__(self) -> None:
        self.accounts: dict[str, Account] = {}
        self.collateral_usd_e6: defaultdict[str, int] = defaultdict(int)
        self.fees_usd_e6 = 0
        self.watch: Callable[[str, Movement], None] = _unwatched

    def open_account(self, wallet: str, opening_usd_e6: int) -> None:
        """Pay in the opening cash; `ValueError` for a wallet that is known."""
        if wallet in self.accounts:
            raise ValueError(f"wallet {wallet} has an account")
        self.accounts[wallet] = Account(opening_usd_e6, opening_usd_e6)
        self.watch("open", Movement("", ((wallet, opening_usd_e6),), ()))

    def cash_usd_e6(self, wallet: str) -> int:
        """Cash of a wallet, 0 for an unknown one."""
        account = self.accounts.get(wallet)
        return account.cash_usd_e6 if account else 0

    def position_e6(self, wallet: str, token: str) -> int:
        """Micro-shares of a token, 0 for an unknown wallet."""
        account = self.accounts.get(wallet)
        return account.positions.get(token, 0) if account else 0

    def apply(self, movement: Movement, cause: str = "") -> None:
        """Book a movement; `UnbalancedMovement` when it would make or lose anything."""
        balance = sum(by for _, by in movement.cash)
        if balance + movement.collateral_usd_e6 + movement.fee_usd_e6 != 0:
            raise UnbalancedMovement(f"cash, collateral and fee do not add up: {movement}")
        self._check_tokens(movement)
        for wallet, by in movement.cash:
            self._account(wallet).cash_usd_e6 += by
        for wallet, token, by in movement.tokens:
            self._move_tokens(wallet, token, by)
        self.collateral_usd_e6[movement.condition_id] += movement.collateral_usd_e6
        self.fees_usd_e6 += movement.fee_usd_e6
        if movement.fee_payer:
            self._account(movement.fee_payer).fees_usd_e6 += movement.fee_usd_e6
        self.watch(cause, movement)

    def mint(self, wallet: str, condition_id: str, tokens: tuple[str, str], size_e6: int) -> None:
        """Split cash into a set: $1 a share becomes collateral, both tokens appear."""
        self.apply(
            Movement(
                condition_id,
                ((wallet, -size_e6),),
                tuple((wallet, token, size_e6) for token in tokens),
                collateral_usd_e6=size_e6,
            ),
            "mint",
        )

    def transfer(self, wallet: str, usd_e6: int, token: str = "", size_e6: int = 0) -> None:
        """Move cash and shares of a token from the rest of the world, or, negative, to it."""
        tokens = ((wallet, token, size_e6), (OUTSIDE, token, -size_e6)) if size_e6 else ()
        cash = ((wallet, usd_e6), (OUTSIDE, -usd_e6)) if usd_e6 else ()
        self.apply(Movement("", cash, tokens), "transfer")

    def redeem(self, condition_id: str, tokens: tuple[str, str], winner: int | None) -> None:
        """Pay $1 for each share of `tokens[winner]` and remove both tokens from all wallets.

        Without a winner every share pays half a dollar.
        """
        for wallet, account in list(self.accounts.items()):
            held = [account.positions.get(token, 0) for token in tokens]
            if any(held):
                usd_e6 = sum(held) // 2 if winner is None else held[winner]
                self._redeem_wallet(wallet, condition_id, tokens, usd_e6)
        left_usd_e6 = self.collateral_usd_e6[condition_id]
        if winner is None and 0 < left_usd_e6 <= len(self.accounts):
            self.apply(Movement(condition_id, ((DUST, left_usd_e6),), (), -left_usd_e6), "dust")
        if self.collateral_usd_e6[condition_id] != 0:
            raise UnbalancedMovement(f"collateral of {condition_id} is left after redemption")

    def _redeem_wallet(
        self, wallet: str, condition_id: str, tokens: tuple[str, str], usd_e6: int
    ) -> None:
        account = self.accounts[wallet]
        account.cash_usd_e6 += usd_e6
        self.collateral_usd_e6[condition_id] -= usd_e6
        gone: list[tuple[str, str, int]] = []
        for token in tokens:
            size_e6 = account.positions.get(token, 0)
            if size_e6:
                self._move_tokens(wallet, token, -size_e6)
                gone.append((wallet, token, -size_e6))
        self.watch("redeem", Movement(condition_id, ((wallet, usd_e6),), tuple(gone), -usd_e6))

    def total_usd_e6(self) -> int:
        """All cash, collateral and fees; equals `paid_in_usd_e6` at all times."""
        cash = sum(account.cash_usd_e6 for account in self.accounts.values())
        return cash + sum(self.collateral_usd_e6.values()) + self.fees_usd_e6

    def paid_in_usd_e6(self) -> int:
        """All opening cash."""
        return sum(account.opening_usd_e6 for account in self.accounts.values())

    def token_totals_e6(self) -> Mapping[str, int]:
        """Micro-shares in existence for each token; zeros left out."""
        totals: defaultdict[str, int] = defaultdict(int)
        for account in self.accounts.values():
            for token, size_e6 in account.positions.items():
                totals[token] += size_e6
        return {token: size_e6 for token, size_e6 in totals.items() if size_e6}

    def _account(self, wallet: str) -> Account:
        return self.accounts.setdefault(wallet, Account())

    def _move_tokens(self, wallet: str, token: str, by_e6: int) -> None:
        positions = self._account(wallet).positions
        size_e6 = positions.get(token, 0) + by_e6
        if size_e6:
            positions[token] = size_e6
        else:
            positions.pop(token, None)

    @staticmethod
    def _check_tokens(movement: Movement) -> None:
        # A token that only changes hands nets to zero; a minted or merged set nets to the same
        # amount for both tokens, the amount of collateral.
        net: defaultdict[str, int] = defaultdict(int)
        for _, token, by in movement.tokens:
            net[token] += by
        made = {by for by in net.values() if by}
        both = sum(1 for by in net.values() if by) == 2
        if made != ({movement.collateral_usd_e6} if both else set()) or (
            movement.collateral_usd_e6 and not both
        ):
            raise UnbalancedMovement(f"tokens do not match the collateral: {movement}")


def _unwatched(_cause: str, _movement: Movement) -> None:
    """Nobody listens."""

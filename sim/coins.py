"""The coins that have ladders: their names on the venue, strike steps, and how they move."""

from dataclasses import dataclass

USD_E4 = 10_000


@dataclass(frozen=True, slots=True)
class Coin:
    """One coin. `step_e4` is the distance of strikes in units of $0.0001.

    `start_usd` and `daily_volatility` only feed the price process, which is not money.
    """

    symbol: str
    name: str
    slug: str
    step_e4: int
    start_usd: float
    daily_volatility: float
    series: str


COINS = {
    coin.symbol: coin
    for coin in (
        Coin("BTC", "Bitcoin", "bitcoin", 2_000 * USD_E4, 87_300.0, 0.025, "btc-multi-strikes"),
        Coin("ETH", "Ethereum", "ethereum", 100 * USD_E4, 2_940.0, 0.035, "ethereum-multi-strikes"),
        Coin("SOL", "Solana", "solana", 10 * USD_E4, 133.0, 0.045, "solana-multi-strikes"),
        Coin("XRP", "XRP", "xrp", USD_E4 // 10, 2.11, 0.045, "xrp-multi-strikes"),
        Coin("DOGE", "Dogecoin", "dogecoin", USD_E4 // 100, 0.152, 0.05, "dogecoin-multi-strikes"),
    )
}

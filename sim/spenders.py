"""The contracts that may take cash or shares out of a wallet, by the names that rules use."""

from sim.market import Facts
from sim.verify import NEG_RISK, POSITION_IDS, STANDARD, domain_of

SPENDERS = {
    "standard": STANDARD[1],
    "neg_risk": NEG_RISK[1],
    "position_ids": POSITION_IDS[1],
    "adapter": "0xAdA100Db00Ca00073811820692005400218FcE1f",
    "neg_risk_adapter": "0xadA2005600Dec949baf300f4C6120000bDB6eAab",
}
"""Three exchanges, and two adapters that turn cash into shares and back."""


def spender_of(facts: Facts) -> str:
    """The contract that takes cash or shares for an order of a market."""
    return domain_of(facts).contract

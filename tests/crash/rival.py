"""pmquant 0.7.1 buys once and says what it believes. Run by its own interpreter.

.bench/pmquant/bin/python tests/crash/rival.py URL KEY CONDITION TOKEN PRICE USD
"""

import json
import logging
import sys


def main() -> None:
    """One purchase, and what its documentation asks for when the outcome is uncertain."""
    from pmq.exceptions import OrderUncertain
    from pmq.executor import PolymarketExecutor

    logging.disable(logging.CRITICAL)
    url, key, condition, token, price, usd = sys.argv[1:7]
    bot = PolymarketExecutor(key=key, host=url, signature_type=0, builder_code=None)
    for line in sys.stdin:
        if line.strip() != "buy":
            break
        try:
            fill = bot.buy_fak(token, float(price), float(usd))
            said = {"matched": fill.matched_shares, "rejected": fill.rejected, "text": fill.error}
        except OrderUncertain as uncertain:
            totals = bot.reconcile(condition, token)
            matched = -1.0 if totals is None else totals[0]
            said = {"matched": matched, "rejected": False, "text": str(uncertain), "asked": True}
        sys.stdout.write(json.dumps(said) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()

"""What `polytrio explain` prints: legs, a payoff plot, the walk, the checks, in lines of text."""

from collections.abc import Iterator

from desk.basket_list import outcome_word, slug_of, verdict_word
from desk.explain import Explained
from shm.codes import Side
from shm.payoff import Payoff

STRETCHES_SHOWN = 12
BAR_WIDTH = 24


def lines(about: Explained) -> Iterator[str]:
    """The same for people."""
    one, basket = about.one, about.basket
    yield f"{one.id}  {one.kind}, {one.coin}, pays at least ${basket.payout_e4 / 1e4:.2f}"
    yield from _leg_lines(about)
    yield "\nover the settlement line"
    yield from payoff_lines(basket.proof)
    yield "\nneeds, cents a unit"
    for name, part_e8 in about.hurdle_parts_e8.items():
        yield f"  {name:<10} {part_e8 / 1e6:>9.4f}"
    yield from _walk_lines(about)
    yield "\nchecks"
    marks = {True: "yes", False: "NO", None: "?"}
    for check in about.checks():
        yield f"  {marks[check.passed]:<3} {check.name:<13} {check.figures}"
    yield f"the engine's own last word: {verdict_word(one.row.verdict)}"


def _leg_lines(about: Explained) -> Iterator[str]:
    for leg in about.basket.legs:
        price_e4, fee_e8 = about.price_e4(leg), about.fee_e8(leg)
        name = f"  buy {outcome_word(leg.outcome):<3} {slug_of(leg.market)}"
        if price_e4 is None or fee_e8 is None:
            yield f"{name}: no quote"
            continue
        size = f"{about.leg_size_e6(leg) / 1e6:,.2f} shares"
        yield f"{name}: {price_e4 / 1e4:.4f} + fee {fee_e8 / 1e8:.6f}, {size}"
    edge = about.edge
    if edge is not None:
        yield (
            f"  together {about.cost_e8 / 1e8:.6f}: gross {edge.gross_e8 / 1e6:+.4f} cents, net "
            f"{edge.net_e8 / 1e6:+.4f} cents, {about.per_year_e6 / 1e4:.1f} % a year"
        )


def payoff_lines(proof: Payoff) -> Iterator[str]:
    """A bar for each interval and each tie, and the void."""
    bounds = [f"{bound / 1e6:,.6g}" for bound in proof.bounds_usd_e6]
    names = []
    for at in range(len(proof.by_position_e4)):
        if at % 2:
            names.append(f"= {bounds[at // 2]}")
        elif at == 0:
            names.append(f"below {bounds[0]}")
        elif at // 2 == len(bounds):
            names.append(f"above {bounds[-1]}")
        else:
            names.append(f"{bounds[at // 2 - 1]} to {bounds[at // 2]}")
    rows = [*zip(names, proof.by_position_e4, strict=True), ("all void", proof.void_e4)]
    most_e4 = max(1, *(paid_e4 for _, paid_e4 in rows))
    for name, paid_e4 in rows:
        bar = "#" * (max(0, paid_e4) * BAR_WIDTH // most_e4)
        short = "" if paid_e4 >= proof.interval_min_e4 else "  less than promised"
        yield f"  {name:>22}  ${paid_e4 / 1e4:<6.2f} {bar}{short}"


def _walk_lines(about: Explained) -> Iterator[str]:
    stretches = about.stretches
    if not stretches:
        return
    yield "\ndown the levels"
    needed_e8 = about.hurdle_parts_e8["together"]
    for stretch in stretches[:STRETCHES_SHOWN]:
        prices = " + ".join(f"{price_e4 / 1e4:.4f}" for price_e4 in stretch.prices_e4)
        enough = "" if stretch.net_e8 >= needed_e8 else "  not enough"
        yield (
            f"  {stretch.start_e6 / 1e6:>9,.2f} to {stretch.end_e6 / 1e6:>9,.2f}  {prices}  net "
            f"{stretch.net_e8 / 1e6:+.4f} cents{enough}"
        )
    order = about.order
    if order is not None:
        yield f"  order: {order.size_e6 / 1e6:,.2f} of each, ${order.profit_usd_e6 / 1e6:.4f}"
    form = about.form
    if form is not None and form.freed_usd_e6:
        sold = [slug_of(leg.market) for leg in form.legs if leg.side is Side.SELL]
        yield (
            f"  of what is held, {', '.join(sold)} would be sold instead: frees "
            f"${form.freed_usd_e6 / 1e6:,.2f} until the expiry"
        )

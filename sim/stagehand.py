"""Carries out acts: one function for each, on the venue as it is at that moment.

What an act means by an empty market or wallet is decided here. Something that is not there, such
as an unknown market, is told in the log and otherwise left alone: a script must not stop a run.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from shm.units import UINT256_MAX, parse_fixed, parse_price_e4
from sim import acts, events
from sim.auth import ApiKey
from sim.buckets import Rates
from sim.events import Audience, Event, Frame
from sim.faults import Subject
from sim.gamma import market_resolved_text
from sim.liquidity import clear
from sim.market import Market
from sim.matching import plan
from sim.modes import Mode
from sim.order import Order, Outcome, Side, Status
from sim.restraints import Standing
from sim.spenders import SPENDERS
from sim.story import terms_of
from sim.venue import Venue

_OTHER_KEY = "00000000-0000-4000-8000-000000000000"
_TOP_E4 = 9_990
_BOTTOM_E4 = 10


@dataclass(frozen=True, slots=True)
class _Scene:
    """The venue, what passed by where the rule stands, and the time."""

    venue: Venue
    subject: Subject
    now_ms: int

    def market(self, named: str) -> Market | None:
        """The market that an act means, by condition id, token id or slug."""
        exchange = self.venue.exchange
        name = named or self.subject.market or self.subject.token
        listed = self.venue.catalog.market_by_slug.get(name)
        if listed is not None:
            name = listed[1].facts.condition_id
        by_token = exchange.by_token.get(name)
        return by_token[0] if by_token is not None else exchange.floor.markets.get(name)

    def wallets(self, named: str) -> list[str]:
        """The wallets that an act means: the named one, that of the subject, or all users'."""
        known = self.venue.exchange.wallets
        name = named or self.subject.wallet
        if not name:
            return list(known)
        return [wallet for wallet in known if wallet.lower() == name.lower()]

    def signers(self, named: str) -> list[str]:
        """The signers of those wallets, each once."""
        known = self.venue.exchange.wallets
        return list(dict.fromkeys(known[wallet][0] for wallet in self.wallets(named)))


def perform(venue: Venue, act: acts.Act, subject: Subject, now_ms: int) -> list[Event]:
    """Carry out an act; the events are for the sockets."""
    return _DEEDS[type(act)](_Scene(venue, subject, now_ms), act)


# The engine.


def _restart(scene: _Scene, act: acts.RestartEngine) -> list[Event]:
    engine = scene.venue.exchange.engine
    engine.whole_batches = act.batch == "503"
    engine.restart(scene.now_ms, act.down_ms, act.post_only_ms)
    return []


def _mode(scene: _Scene, act: acts.SetMode) -> list[Event]:
    engine = scene.venue.exchange.engine
    engine.whole_batches = act.batch == "503"
    engine.set(Mode(act.mode), None if act.ms is None else scene.now_ms + act.ms)
    return []


def _geoblock(scene: _Scene, act: acts.Geoblock) -> list[Event]:
    scene.venue.exchange.engine.geoblocked = act.on
    return []


def _limit_rates(scene: _Scene, act: acts.LimitRates) -> list[Event]:
    rates = Rates(
        act.tier,
        act.orders_per_s,
        act.orders_burst,
        act.cancels_per_s,
        act.cancels_burst,
        act.enforce,
    )
    scene.venue.exchange.rates.set(rates if act.on else None)
    return []


def _index_refused(scene: _Scene, act: acts.IndexRefused) -> list[Event]:
    scene.venue.exchange.intake.index_refused = act.on
    return []


def _skew_clock(scene: _Scene, act: acts.SkewClock) -> list[Event]:
    scene.venue.skew_ms = act.ms
    return []


# Markets.


def _tick(scene: _Scene, act: acts.SetTick) -> list[Event]:
    market = scene.market(act.market)
    tick_e4 = parse_price_e4(act.tick)
    if market is None or market.tick_e4 == tick_e4:
        return _nothing(scene, act)
    floor, condition_id = scene.venue.exchange.floor, market.facts.condition_id
    caused: list[Event] = []
    if tick_e4 > market.tick_e4:
        caused += clear(floor, condition_id, tick_e4, scene.now_ms)
    return caused + list(market.refine_tick(scene.now_ms, tick_e4))


def _fee(scene: _Scene, act: acts.SetFee) -> list[Event]:
    market = scene.market(act.market)
    if market is None:
        return _nothing(scene, act)
    market.facts = replace(market.facts, fee_rate_e6=parse_fixed(act.rate, 6))
    return []


def _accepting(scene: _Scene, act: acts.SetAccepting) -> list[Event]:
    market = scene.market(act.market)
    if market is None:
        return _nothing(scene, act)
    market.accepting = act.on
    return []


def _resolve(scene: _Scene, act: acts.Resolve) -> list[Event]:
    market = scene.market(act.market)
    if market is None:
        return _nothing(scene, act)
    exchange, facts = scene.venue.exchange, market.facts
    winner = None if act.winner == "SPLIT" else Outcome[act.winner]
    caused = exchange.resolve(facts.condition_id, winner, scene.now_ms, pay=act.pay)
    caused += clear(exchange.floor, facts.condition_id, 0, scene.now_ms)
    listed = scene.venue.catalog.market_by_condition.get(facts.condition_id)
    market_id = listed[1].market_id if listed is not None else ""
    text = market_resolved_text(market_id, facts, winner, scene.now_ms)
    return caused + [Frame(Audience.TOKEN_CUSTOM, token, text) for token in facts.tokens]


def _taker_delay(scene: _Scene, act: acts.TakerDelay) -> list[Event]:
    market = scene.market(act.market)
    if market is None:
        return _nothing(scene, act)
    market.hold_ms = act.ms
    return []


# Accounts.


def _standing(scene: _Scene, act: acts.SetStanding) -> list[Event]:
    for signer in scene.signers(act.wallet):
        scene.venue.exchange.floor.restraints.standings[signer] = Standing(act.standing)
    return []


def _withdraw(scene: _Scene, act: acts.Withdraw) -> list[Event]:
    ledger = scene.venue.exchange.floor.ledger
    caused: list[Event] = []
    for wallet in scene.wallets(act.wallet):
        cash, held = ledger.cash_usd_e6(wallet), ledger.position_e6(wallet, act.token)
        usd_e6, size_e6 = _part(act.usd, cash), _part(act.shares, held)
        ledger.transfer(wallet, -usd_e6, act.token, -size_e6)
        caused += scene.venue.exchange.drop_uncovered(wallet, scene.now_ms)
    return caused


def _deposit(scene: _Scene, act: acts.Deposit) -> list[Event]:
    ledger = scene.venue.exchange.floor.ledger
    size_e6 = parse_fixed(act.shares, 6)
    market = scene.market(act.market) if size_e6 else None
    for wallet in scene.wallets(act.wallet):
        ledger.transfer(wallet, parse_fixed(act.usd, 6))
        if market is not None and market.accepting:
            ledger.mint(wallet, market.facts.condition_id, market.facts.tokens, size_e6)
    return []


def _part(text: str, have: int) -> int:
    """An amount, but never more than there is."""
    return max(0, have if text == acts.ALL else min(parse_fixed(text, 6), have))


def _allowance(scene: _Scene, act: acts.SetAllowance) -> list[Event]:
    allowances = scene.venue.exchange.floor.restraints.allowances_usd_e6
    allowed = UINT256_MAX if act.usd == acts.ALL else parse_fixed(act.usd, 6)
    allowances.update(dict.fromkeys(_releases(scene, act), allowed))
    return []


def _approval(scene: _Scene, act: acts.SetApproval) -> list[Event]:
    unapproved = scene.venue.exchange.floor.restraints.unapproved
    meant = set(_releases(scene, act))
    change = unapproved.difference_update if act.on else unapproved.update
    change(meant)
    return []


def _releases(
    scene: _Scene, act: acts.SetAllowance | acts.SetApproval
) -> Iterator[tuple[str, str]]:
    """The wallets and the contracts that an act means."""
    names = SPENDERS if act.spender == acts.ALL else (act.spender,)
    for wallet in scene.wallets(act.wallet):
        yield from ((wallet, SPENDERS[name]) for name in names)


def _phantom_lock(scene: _Scene, act: acts.PhantomLock) -> list[Event]:
    for wallet in scene.wallets(act.wallet):
        locks = scene.venue.exchange.floor.restraints.locks_usd_e6
        locks[wallet] = parse_fixed(act.usd, 6)
    return []


def _revoke_keys(scene: _Scene, act: acts.RevokeKeys) -> list[Event]:
    keys = scene.venue.exchange.keys
    for signer in scene.signers(act.wallet):
        for key in map(keys.get, keys.of_address(signer)):
            if key is not None:
                keys.delete(key)
    return []


def _manual_order(scene: _Scene, act: acts.ManualOrder) -> list[Event]:
    exchange = scene.venue.exchange
    found = exchange.open_market(act.token)
    caused: list[Event] = []
    for wallet in scene.wallets(act.wallet) if found is not None else []:
        owner = _key_of(scene, wallet)
        if found is not None and owner is not None:
            order = _order(scene, act, found, (wallet, owner))
            caused += _place_by_hand(scene, order, rest=act.rest)
    return caused or _nothing(scene, act)


def _key_of(scene: _Scene, wallet: str) -> ApiKey | None:
    exchange = scene.venue.exchange
    ids = exchange.keys.of_address(exchange.wallets[wallet][0])
    return exchange.keys.get(ids[0]) if ids else None


def _order(
    scene: _Scene,
    act: acts.ManualOrder,
    found: tuple[Market, Outcome],
    who: tuple[str, ApiKey],
) -> Order:
    market, outcome = found
    wallet, key = who
    any_e4 = _TOP_E4 if act.side == "BUY" else _BOTTOM_E4
    return Order(
        order_id=f"0x{scene.venue.exchange.floor.rng.getrandbits(256):064x}",
        owner=_OTHER_KEY if act.other_key else key.key,
        wallet=wallet,
        condition_id=market.facts.condition_id,
        token=act.token,
        outcome=outcome,
        side=Side(act.side),
        price_e4=parse_price_e4(act.price) if act.price else any_e4,
        original_e6=parse_fixed(act.shares, 6),
        order_type="GTC" if act.rest else "FAK",
        created_ms=scene.now_ms,
    )


def _place_by_hand(scene: _Scene, order: Order, *, rest: bool) -> list[Event]:
    exchange = scene.venue.exchange
    floor = exchange.floor
    book = floor.markets[order.condition_id].book
    if not rest and not plan(book, order).executions:
        return []
    floor.register.add(order)
    floor.truth.record("order", accepted=True, by_hand=True, leg=1, salt="", **terms_of(order))
    caused = floor.submit(order, scene.now_ms, rest=rest).events
    if not rest and order.status is Status.LIVE:
        caused += floor.withdraw([order], Status.CANCELED, scene.now_ms)
    return caused + exchange.drop_uncovered(order.wallet, scene.now_ms)


# Sockets.


def _hang_up(_scene: _Scene, act: acts.HangUp) -> list[Event]:
    return [events.HangUp(act.channel, act.how == "rst", act.code)]


def _send(_scene: _Scene, act: acts.Send) -> list[Event]:
    return [events.Broadcast(act.channel, act.text)]


def _nothing(scene: _Scene, act: acts.Act) -> list[Event]:
    """The act had nothing to act on."""
    tag = str(act.__struct_config__.tag)
    scene.venue.exchange.truth.record("act_missed", do=tag)
    return []


_DEEDS: dict[type, Callable[[_Scene, Any], list[Event]]] = {
    acts.RestartEngine: _restart,
    acts.SetMode: _mode,
    acts.SetStanding: _standing,
    acts.Geoblock: _geoblock,
    acts.LimitRates: _limit_rates,
    acts.SetTick: _tick,
    acts.SetFee: _fee,
    acts.SetAccepting: _accepting,
    acts.Resolve: _resolve,
    acts.TakerDelay: _taker_delay,
    acts.Withdraw: _withdraw,
    acts.Deposit: _deposit,
    acts.SetAllowance: _allowance,
    acts.SetApproval: _approval,
    acts.PhantomLock: _phantom_lock,
    acts.ManualOrder: _manual_order,
    acts.IndexRefused: _index_refused,
    acts.SkewClock: _skew_clock,
    acts.RevokeKeys: _revoke_keys,
    acts.HangUp: _hang_up,
    acts.Send: _send,
}

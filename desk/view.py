"""The live terminal view: one screen that says what the system sees, wants, does and earns."""

import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from rich.columns import Columns
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from desk.snapshot import Snapshot
from shm.codes import (
    KIND_WORDS,
    BasketKind,
    Cause,
    Mode,
    PartialReason,
    ReportKind,
    StageState,
    Verdict,
)
from shm.layout import BasketRow, Market, Report
from shm.roles import Health

EDGES_SHOWN = 8
NEWS_SHOWN = 8


@dataclass(slots=True)
class Screen:
    """Remembers what a single snapshot cannot know: rates and the latest news."""

    title: str
    before: Snapshot | None = None
    news: deque[tuple[float, Report]] = field(default_factory=lambda: deque(maxlen=NEWS_SHOWN))
    rates: dict[str, float] = field(default_factory=dict)

    def take(self, now: Snapshot) -> None:
        """Digest a snapshot."""
        for report in now.reports:
            if report.kind not in {ReportKind.SENT, ReportKind.REFUSED}:
                self.news.append((time.time(), report))
        if self.before is not None:
            seconds = (now.taken_ns - self.before.taken_ns) / 1e9
            for name, newer, older in (
                ("frames", now.ingest.frames_in, self.before.ingest.frames_in),
                ("evaluations", now.engine.evaluations, self.before.engine.evaluations),
            ):
                self.rates[name] = (newer - older) / seconds if seconds > 0 else 0.0
        self.before = now

    def render(self) -> RenderableType:
        """The whole screen."""
        now = self.before
        if now is None:
            return Text("starting ...")
        return Group(
            Text(self.title, style="bold reverse"),
            *(Text(f" {notice} ", style="bold white on red") for notice in now.notices),
            _money(now),
            Columns([_stages(now), _flow(now, self.rates)], padding=(0, 1)),
            _edges(now),
            Columns([_latency(now), self._latest(now.markets)], padding=(0, 1)),
        )

    def _latest(self, markets: Mapping[int, Market]) -> RenderableType:
        table = Table(title="last baskets", title_justify="left", expand=True)
        for heading in ("at", "basket", "outcome", "shares", "profit"):
            table.add_column(heading, no_wrap=True)
        for wall_s, report in reversed(self.news):
            table.add_row(
                time.strftime("%H:%M:%S", time.localtime(wall_s)),
                _legs_in_words(report.leg_market[: report.leg_count], markets),
                _outcome(report),
                f"{report.size_e6 / 1e6:g}",
                f"${report.profit_usd_e6 / 1e6:.2f}",
            )
        if not self.news:
            table.add_row("", "none yet: waiting for a mispriced set", "", "", "")
        return table


def _outcome(report: Report) -> Text:
    kind = ReportKind(report.kind)
    if kind is ReportKind.PARTIAL:
        return Text(f"partial ({PartialReason(report.reason).name.lower()})", style="red")
    style = "green" if kind is ReportKind.COMPLETE else "yellow"
    return Text(kind.name.lower(), style=style)


def _money(now: Snapshot) -> RenderableType:
    account = now.account
    executor = now.executor
    profit = account.locked_profit_usd_e6 / 1e6
    line = Text.assemble(
        ("cash ", "dim"), f"${account.cash_usd_e6 / 1e6:,.2f}   ",
        ("reserved ", "dim"), f"${account.reserved_usd_e6 / 1e6:,.2f}   ",
        ("locked profit ", "dim"), (f"${profit:,.2f}   ", "green" if profit >= 0 else "red"),
        ("fees ", "dim"), f"${account.fee_usd_e6 / 1e6:,.2f}   ",
        ("baskets ", "dim"),
        f"{executor.baskets_complete} complete, {executor.baskets_partial} partial, "
        f"{executor.baskets_missed} missed, {executor.repairs_unwound} sold again, "
        f"{executor.legs_sold} legs from inventory",
    )  # fmt: skip
    return Panel(Group(line, _risk(now)))


def _risk(now: Snapshot) -> RenderableType:
    """What may be sent and why not, what is at risk, and how far the journal is."""
    account = now.account
    mode = shown(Mode, account.mode)
    style = "green" if account.mode == Mode.ARMED else "bold red" if account.mode else "dim"
    why = f" ({shown(Cause, account.cause).lower()})" if account.mode > Mode.ARMED else ""
    return Text.assemble(
        ("mode ", "dim"), (f"{mode}{why}   ", style),
        ("at risk ", "dim"), f"${account.exposure_usd_e6 / 1e6:,.2f}   ",
        ("standing alone ", "dim"), f"${account.naked_usd_e6 / 1e6:,.2f}   ",
        ("in doubt ", "dim"), f"{account.in_doubt}   ",
        ("worst case today ", "dim"), f"${account.day_usd_e6 / 1e6:+,.2f}   ",
        ("journal ", "dim"),
        f"{account.journal_seq:,} records, {account.journal_seq - account.durable_seq} not synced",
    )  # fmt: skip


def shown(kind: type[IntEnum], number: int) -> str:
    """The name of a number in shared memory, also of one that nobody knows."""
    return kind(number).name if number in set(kind) else str(number)


def _stages(now: Snapshot) -> RenderableType:
    table = Table(title="stages", title_justify="left")
    for heading in ("stage", "state", "pid", "restarts", "heartbeat", "MB", "gc"):
        table.add_column(heading, justify="left" if heading in {"stage", "state"} else "right")
    for role, seen in now.health.items():
        table.add_row(
            role.label,
            _state(seen),
            str(seen.row.pid),
            str(max(0, seen.row.epoch - 1)),
            f"{seen.heartbeat_age_ns / 1e6:.0f} ms",
            f"{now.rss_bytes[role] / 1e6:.0f}",
            str(now.stage[role].gc_collections),
        )
    return table


def _state(seen: Health) -> Text:
    if not seen.alive:
        return Text("down", style="bold red")
    if seen.hung:
        return Text("hung", style="bold red")
    state = StageState(seen.row.state)
    return Text(state.name.lower(), style="green" if state is StageState.RUNNING else "yellow")


def _flow(now: Snapshot, rates: Mapping[str, float]) -> RenderableType:
    """From frame to fill, with every reason why something did not go on."""
    table = Table(title="flow", title_justify="left", show_header=False)
    table.add_column("what", style="dim")
    table.add_column("count", justify="right")
    table.add_column("note", no_wrap=True)
    ingest, engine, executor = now.ingest, now.engine, now.executor
    table.add_row(
        "frames", f"{ingest.frames_in:,}",
        f"{rates.get('frames', 0):,.0f}/s, {ingest.books_live}/{ingest.subscriptions} books live",
    )  # fmt: skip
    table.add_row(
        "evaluations", f"{engine.evaluations:,}",
        f"{rates.get('evaluations', 0):,.0f}/s over {engine.baskets} baskets",
    )  # fmt: skip
    table.add_row("hits", f"{engine.hits:,}", _reasons(engine, "held_"))
    table.add_row("signals", f"{engine.signals:,}", _reasons(executor, "refused_"))
    table.add_row(
        "orders", f"{executor.orders_sent:,}",
        f"{executor.orders_accepted} accepted, {executor.orders_refused} refused",
    )  # fmt: skip
    table.add_row("fills", f"{executor.fills_seen:,}", f"{executor.orders_filled} orders filled")
    return table


def _reasons(counters: Any, prefix: str) -> str:
    """`stale 3, busy 1`: the counters of a prefix that are not zero."""
    found = [
        f"{name.removeprefix(prefix)} {value}"
        for name, value in counters._asdict().items()
        if name.startswith(prefix) and value
    ]
    return ", ".join(found) or "none held back"


def _edges(now: Snapshot) -> RenderableType:
    table = Table(title="best edges, cents a share", title_justify="left", expand=True)
    for heading in ("basket", "kind", "gross", "net", "shares", "verdict"):
        right = heading in {"gross", "net", "shares"}
        table.add_column(heading, justify="right" if right else "left", no_wrap=True)
    for row in now.best[:EDGES_SHOWN]:
        style = "green" if row.net_e8 > 0 else ""
        table.add_row(
            _legs_in_words(row.leg_market[: row.leg_count], now.markets),
            KIND_WORDS[BasketKind(row.kind)],
            f"{row.gross_e8 / 1e6:+.2f}",
            f"{row.net_e8 / 1e6:+.2f}",
            f"{row.size_e6 / 1e6:,.0f}",
            _verdict(row),
            style=style,
        )
    if not now.best:
        table.add_row("no basket has all its prices quoted yet", "", "", "", "", "")
    return table


def _verdict(row: BasketRow) -> str:
    return Verdict(row.verdict).name.lower().replace("_", " ")


def _legs_in_words(rows: tuple[int, ...], markets: Mapping[int, Market]) -> str:
    """`BTC 76,000 .. 78,000, Nov 24`: the strikes that a basket spans."""
    known = [markets[row] for row in rows if row in markets]
    if not known:
        return "markets that have ended"
    bounds = sorted(
        {
            bound
            for market in known
            for bound in (market.lower_usd_e6, market.upper_usd_e6)
            if abs(bound) < 1 << 62
        }
    )
    strikes = " .. ".join(f"{bound / 1e6:,g}" for bound in (bounds[0], bounds[-1]))
    day = time.strftime("%b %d", time.gmtime(known[0].expiry_ms / 1000))
    coin = known[0].coin.rstrip(b"\0").decode()
    return f"{coin} {strikes}, {day}"


def _latency(now: Snapshot) -> RenderableType:
    table = Table(title="latency, microseconds", title_justify="left")
    for heading in ("from .. to", "count", "p50", "p90", "p99", "p99.9", "max"):
        table.add_column(heading, justify="left" if heading == "from .. to" else "right")
    for name, latency in now.latency.items():
        table.add_row(
            name.replace("_to_", " .. "),
            f"{latency.count:,}",
            f"{latency.p50_us:,.0f}",
            f"{latency.p90_us:,.0f}",
            f"{latency.p99_us:,.0f}",
            f"{latency.p999_us:,.0f}",
            f"{latency.max_us:,.0f}",
        )
    return table


def plain_line(now: Snapshot) -> str:
    """The same in one line, for a log."""
    down = [role.label for role, seen in now.health.items() if not seen.alive]
    return (
        f"frames {now.ingest.frames_in}, books live {now.ingest.books_live}, "
        f"signals {now.engine.signals}, baskets {now.executor.baskets_complete} complete "
        f"{now.executor.baskets_partial} partial {now.executor.baskets_missed} missed, "
        f"cash ${now.account.cash_usd_e6 / 1e6:,.2f}, "
        f"locked profit ${now.account.locked_profit_usd_e6 / 1e6:,.2f}"
        + (f", DOWN: {', '.join(down)}" if down else "")
        + "".join(f", {notice}" for notice in now.notices)
    )

"""Rate limits: a token bucket for each signer and kind of request, and the queue of a proxy (C.9).

Tokens are counted in thousandths, so that no time step loses any. Times are milliseconds.
"""

from collections import deque
from dataclasses import dataclass, field

_MILLI = 1_000


@dataclass(slots=True)
class Bucket:
    """Fills with `per_s` tokens a second up to `burst`; may be overdrawn by `spend`."""

    per_s: int
    burst: int
    at_ms: int
    _milli: int = field(init=False)

    def __post_init__(self) -> None:
        self._milli = self.burst * _MILLI

    def take(self, tokens: int, now_ms: int) -> bool:
        """Take all of `tokens` or nothing."""
        self._fill(now_ms)
        if self._milli < tokens * _MILLI:
            return False
        self._milli -= tokens * _MILLI
        return True

    def spend(self, tokens: int, now_ms: int) -> None:
        """Take `tokens` even when there are fewer: the balance becomes negative."""
        self._fill(now_ms)
        self._milli -= tokens * _MILLI

    def remaining(self, now_ms: int) -> int:
        """Whole tokens left; negative when overdrawn."""
        self._fill(now_ms)
        return self._milli // _MILLI

    def wait_ms(self, tokens: int, now_ms: int) -> int:
        """Milliseconds until `tokens` are there (or the bucket is full, if that is less)."""
        self._fill(now_ms)
        missing = min(tokens, self.burst) * _MILLI - self._milli
        return max(0, -(-missing // self.per_s))

    def _fill(self, now_ms: int) -> None:
        passed_ms = max(0, now_ms - self.at_ms)
        self.at_ms = max(self.at_ms, now_ms)
        self._milli = min(self.burst * _MILLI, self._milli + passed_ms * self.per_s)


@dataclass(frozen=True, slots=True)
class Rates:
    """What a tier allows. Without `enforce` a request that is too much is only warned of."""

    tier: str
    orders_per_s: int
    orders_burst: int
    cancels_per_s: int
    cancels_burst: int
    enforce: bool


@dataclass(slots=True)
class RateLimits:
    """The buckets of all signers; there are none while `rates` is None."""

    rates: Rates | None = None
    _buckets: dict[tuple[str, str], Bucket] = field(default_factory=dict)

    def set(self, rates: Rates | None) -> None:
        """Other limits, with full buckets; None ends them."""
        self.rates = rates
        self._buckets = {}

    def take(self, signer: str, kind: str, tokens: int, now_ms: int) -> tuple[bool, dict[str, str]]:
        """(allowed, reply headers) of a request that costs `tokens` orders or cancels."""
        if self.rates is None:
            return True, {}
        bucket = self._bucket(signer, kind, now_ms)
        enough = bucket.take(tokens, now_ms)
        headers = self._headers(bucket, tokens, now_ms)
        if enough:
            return True, headers
        if not self.rates.enforce:
            return True, headers | {"Poly-RateLimit-Warning": "rate limit exceeded"}
        wait_s = -(-bucket.wait_ms(tokens, now_ms) // 1000)
        return False, headers | {"Retry-After": str(max(1, wait_s))}

    def spend(self, signer: str, kind: str, tokens: int, now_ms: int) -> dict[str, str]:
        """Charge what was found out only afterwards, into the negative; returns the headers."""
        if self.rates is None:
            return {}
        bucket = self._bucket(signer, kind, now_ms)
        bucket.spend(tokens, now_ms)
        return self._headers(bucket, 1, now_ms)

    def rows(self, now_ms: int) -> dict[str, dict[str, int]]:
        """What is left, by signer and kind."""
        found: dict[str, dict[str, int]] = {}
        for (signer, kind), bucket in self._buckets.items():
            found.setdefault(signer, {})[kind] = bucket.remaining(now_ms)
        return found

    def _bucket(self, signer: str, kind: str, now_ms: int) -> Bucket:
        rates = self.rates
        if rates is None:
            raise ValueError("there are no limits")
        if (signer, kind) not in self._buckets:
            per_s, burst = (
                (rates.orders_per_s, rates.orders_burst)
                if kind == "orders"
                else (rates.cancels_per_s, rates.cancels_burst)
            )
            self._buckets[signer, kind] = Bucket(per_s, burst, now_ms)
        return self._buckets[signer, kind]

    def _headers(self, bucket: Bucket, tokens: int, now_ms: int) -> dict[str, str]:
        reset_s = -(-(now_ms + bucket.wait_ms(max(1, tokens), now_ms)) // 1000)
        tier = self.rates.tier if self.rates is not None else ""
        return {
            "Poly-RateLimit-Remaining": str(bucket.remaining(now_ms)),
            "Poly-RateLimit-Reset": str(reset_s),
            "Poly-RateLimit-Tier": tier,
        }


@dataclass(slots=True)
class Window:
    """A sliding window as a proxy keeps it: who comes too early is told when to go on."""

    requests: int
    window_ms: int
    _passed: deque[int] = field(default_factory=deque)

    def book(self, now_ms: int, longest_ms: int) -> int | None:
        """Milliseconds to wait, or None when that is more than `longest_ms`.

        A place that was given counts from when it will be used.
        """
        while self._passed and self._passed[0] <= now_ms - self.window_ms:
            self._passed.popleft()
        due_ms = now_ms
        if len(self._passed) >= self.requests:
            due_ms = max(now_ms, self._passed[-self.requests] + self.window_ms)
        if due_ms - now_ms > longest_ms:
            return None
        self._passed.append(due_ms)
        return due_ms - now_ms

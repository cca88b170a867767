"""Rate-limit buckets, and the headers that tell of them.

https://docs.discord.com/developers/topics/rate-limits
"""

import hashlib
import time
from collections import deque
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Rate:
    """So many requests in a window."""

    requests: int
    window_s: float


RATES = {
    "POST messages": Rate(5, 5.0),
    "PATCH message": Rate(5, 5.0),
    "DELETE message": Rate(5, 1.0),
    "POST typing": Rate(5, 5.0),
    "GET messages": Rate(5, 5.0),
    "PUT reaction": Rate(1, 0.25),
    "POST threads": Rate(50, 300.0),
}
OTHERS = Rate(50, 1.0)
GLOBAL = Rate(50, 1.0)


@dataclass
class Bucket:
    """One window that starts with its first request."""

    rate: Rate
    used: int = 0
    ends: float = 0.0


@dataclass
class Limits:
    """Every bucket of one application. `pace` > 1 shrinks all windows, so that tests need not wait."""

    pace: float = 1.0
    buckets: dict[str, Bucket] = field(default_factory=dict)
    recent: deque[float] = field(default_factory=deque)
    hits: list[str] = field(default_factory=list)
    """Every 429 that was answered, by bucket."""

    def take(self, route: str, major: str) -> tuple[float, dict[str, str]]:
        """Seconds to wait (0: carried out), and the headers."""
        now = time.monotonic()
        rate = RATES.get(route, OTHERS)
        bucket = self.buckets.setdefault(f"{route}:{major}", Bucket(rate))
        if now >= bucket.ends:
            bucket.used, bucket.ends = 0, now + rate.window_s / self.pace
        wait = 0.0
        if bucket.used >= rate.requests:
            wait = bucket.ends - now
            self.hits.append(f"{route}:{major}")
        else:
            bucket.used += 1
        reset = bucket.ends - now
        headers = {
            "X-RateLimit-Limit": str(rate.requests),
            "X-RateLimit-Remaining": str(rate.requests - bucket.used),
            "X-RateLimit-Reset": f"{time.time() + reset:.3f}",
            "X-RateLimit-Reset-After": f"{reset:.3f}",
            "X-RateLimit-Bucket": hashlib.md5(route.encode(), usedforsecurity=False).hexdigest(),
        }
        if wait:
            headers |= {"Retry-After": f"{wait:.3f}", "X-RateLimit-Scope": "user"}
        return wait, headers

    def take_global(self) -> float:
        """Seconds to wait for the application's fifty requests a second; 0: none."""
        now = time.monotonic()
        window = GLOBAL.window_s / self.pace
        while self.recent and self.recent[0] <= now - window:
            self.recent.popleft()
        if len(self.recent) >= GLOBAL.requests:
            self.hits.append("global")
            return self.recent[0] + window - now
        self.recent.append(now)
        return 0.0

"""How much one endpoint is sent at once: more while it answers well and soon, less while it does not, never faster than it asked.

Times are seconds of a clock that only goes forward.
"""

from dataclasses import dataclass, field
from typing import Final, Literal

AT_ONCE_FIRST: Final = 1.0
AT_ONCE_MAX: Final = 8
AHEAD_SECONDS: Final = 0.5
"""For how long it is worth taking deliveries before they can be sent."""
AHEAD_LEAST: Final = 8
AHEAD_MAX: Final = 256
SOON: Final = 1.0
"""Who answers in less is no burden on others."""
STUCK: Final = 1.0
"""Who does not answer for so long is sent nothing more until it does."""
PAUSES_AFTER: Final = 3
PAUSE: Final = 0.1
PAUSE_MAX: Final = 5.0
ASKED_MAX: Final = 60.0
"""Who asks to be left alone for longer is tried once a minute all the same: with the deliveries that are new."""

Kind = Literal["good", "unknown", "bad"]


@dataclass(slots=True)
class Pace:
    """Additive increase, multiplicative decrease; and a bucket that fills at the rate that the endpoint asked for."""

    rate_per_minute: int | None = None
    at_once: float = AT_ONCE_FIRST
    failures: int = 0
    """Since the last success."""
    seconds: float | None = None
    """What an answer takes, as of late."""
    resumes_at: float = 0.0
    _filled_at: float = field(default=0.0, repr=False)
    _tokens: float = field(default=1.0, repr=False)

    @property
    def kind(self) -> Kind:
        """What others have to fear of it."""
        if self.failures:
            return "bad"
        return "good" if self.seconds is not None and self.seconds < SOON else "unknown"

    def ahead(self, now: float) -> int:
        """How many deliveries are worth having taken, those under way included."""
        if self.rate_per_minute is not None:
            self._fill(now)
            return min(int(self.at_once), max(1, int(self._tokens)))
        if self.kind == "bad":
            return int(self.at_once)
        if self.kind == "unknown" or self.seconds is None:
            return AHEAD_LEAST
        soon = AHEAD_SECONDS * self.at_once / max(self.seconds, 0.0005)
        return max(AHEAD_LEAST, min(int(soon), AHEAD_MAX))

    def waits(self, now: float, under_way: int) -> float | None:
        """How long until one more may be sent: 0.0 is now, None is when one under way has ended."""
        if under_way >= int(self.at_once):
            return None
        if now < self.resumes_at:
            return self.resumes_at - now
        if self.rate_per_minute is None:
            return 0.0
        self._fill(now)
        return 0.0 if self._tokens >= 1.0 else (1.0 - self._tokens) * 60.0 / self.rate_per_minute

    def sent(self) -> None:
        """One more is under way."""
        self._tokens -= 1.0

    def succeeded(self, seconds: float) -> None:
        """It answered well, after so long."""
        self.failures = 0
        self.resumes_at = 0.0
        self.seconds = seconds if self.seconds is None else 0.8 * self.seconds + 0.2 * seconds
        if seconds < SOON:
            self.at_once = min(self.at_once + 1.0, AT_ONCE_MAX)

    def failed(self, now: float, *, asked: float | None = None) -> None:
        """It did not; perhaps it asked to be left alone for a number of seconds."""
        self.failures += 1
        self.at_once = max(1.0, self.at_once / 2)
        pause = 0.0
        if self.failures >= PAUSES_AFTER:
            pause = min(PAUSE * 2 ** min(self.failures - PAUSES_AFTER, 10), PAUSE_MAX)
        self.resumes_at = now + max(pause, min(asked or 0.0, ASKED_MAX))

    def distrust(self) -> None:
        """It is known to have failed lately."""
        self.failures = max(self.failures, 1)

    def stuck(self) -> None:
        """One under way takes very long."""
        self.at_once = max(1.0, self.at_once / 2)
        self.seconds = 2 * STUCK

    def _fill(self, now: float) -> None:
        assert self.rate_per_minute is not None
        most = max(1.0, self.rate_per_minute / 60.0)
        self._tokens = min(most, self._tokens + (now - self._filled_at) * self.rate_per_minute / 60.0)
        self._filled_at = now

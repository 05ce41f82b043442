"""How long sessions are."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import ArrayLike

from tidegate.errors import InputError

__all__ = ["LengthProfile"]


@dataclass(frozen=True)
class LengthProfile:
    """Session lengths in a few numbers.

    Parameters
    ----------
    sessions, events : int
        How many there are.
    min, mean, median, p95, max : float
        Of the events a session. `p95` is the smallest length that 95 % of the sessions do not
        exceed.

    Examples
    --------
    >>> profile = LengthProfile.of([2, 3, 3, 120])
    >>> print(profile)
    4 sessions, 128 events; events a session: min 2, mean 32.0, median 3.0, p95 120, max 120
    """

    sessions: int
    events: int
    min: int
    mean: float
    median: float
    p95: int
    max: int

    @classmethod
    def of(cls, lengths: ArrayLike) -> LengthProfile:
        """Measure lengths, such as `EventTable.lengths`.

        Raises
        ------
        InputError
            ``no_events``: there is no session.
        """
        counts = np.asarray(lengths, dtype=np.int64)
        if len(counts) == 0:
            raise InputError("no_events", "there is no session", hint="give at least one")
        return cls(
            sessions=len(counts),
            events=int(counts.sum()),
            min=int(counts.min()),
            mean=float(counts.mean()),
            median=float(np.median(counts)),
            p95=int(np.quantile(counts, 0.95, method="inverted_cdf")),
            max=int(counts.max()),
        )

    def to_dict(self) -> dict[str, int | float]:
        """Return the numbers by name, JSON-able."""
        return asdict(self)

    def __str__(self) -> str:
        return (
            f"{self.sessions:,} sessions, {self.events:,} events; events a session: "
            f"min {self.min:,}, mean {self.mean:,.1f}, median {self.median:,.1f}, "
            f"p95 {self.p95:,}, max {self.max:,}"
        )

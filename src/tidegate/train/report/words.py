"""Numbers and names as people read them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from tidegate import answers

__all__ = ["day", "interval", "listed", "metric", "number", "percent", "signed", "worse"]


def number(value: float | None) -> str:
    """Return a number with four digits, whole numbers with all.

    >>> number(12345), number(-0.123456), number(12345.678), number(None)
    ('12,345', '−0.1235', '12,346', '')
    """
    if value is None:
        return ""
    if isinstance(value, int):
        return f"{value:,}"
    shown = f"{value:,.0f}" if 1e4 <= abs(value) < 1e15 else f"{value:.4g}"
    return shown.replace("-", "−")


def signed(value: float | None) -> str:
    """Return a difference, always with its sign.

    >>> signed(0.1234567), signed(-2.0), signed(None)
    ('+0.123', '−2', '')
    """
    return "" if value is None else f"{value:+.3g}".replace("-", "−")


def interval(ends: tuple[float, float] | None, *, difference: bool = False) -> str:
    """Return both ends.

    >>> interval((0.1, 0.25)), interval((-0.1, 0.25), difference=True), interval(None)
    ('0.1 to 0.25', '−0.1 to +0.25', '')
    """
    if ends is None:
        return ""
    return " to ".join((signed if difference else number)(end) for end in ends)


def percent(share: float) -> str:
    """Return a share.

    >>> percent(0.1234), percent(0.0)
    ('12.3%', '0.0%')
    """
    return f"{100 * share:.1f}%"


def metric(name: str) -> str:
    """Return a metric's name in words.

    >>> metric("log_loss"), metric("auc"), metric("r2")
    ('log loss', 'AUC', 'R²')
    """
    short = {"auc": "AUC", "mae": "MAE", "rmse": "RMSE", "r2": "R²", "n": "labels"}
    return short.get(name, name.replace("_", " "))


def worse(name: str, difference: float) -> bool:
    """Say whether a metric that is so much larger is worse."""
    return difference < 0 if name in answers.HIGHER_IS_BETTER else difference > 0


def listed(names: Iterable[str]) -> str:
    """Return names in a row.

    >>> listed(["a", "b", "c"]), listed(["a"])
    ('a, b and c', 'a')
    """
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def day(seconds: float) -> str:
    """Return the date of a time, in UTC.

    >>> day(0.0)
    '1970-01-01'
    """
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d}"

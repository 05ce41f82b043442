"""What a check says: of a run's history (``tidegate doctor``), or of data (``tidegate check``)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec

__all__ = ["SEVERITIES", "Finding", "Severity", "worst_first"]

Severity = Literal["serious", "warning", "note"]

SEVERITIES: tuple[Severity, ...] = ("serious", "warning", "note")
"""Worst first. ``serious``: the result is of little use; ``warning``: it could be better, or is not
what it seems; ``note``: nothing is wrong, but worth knowing."""


class Finding(msgspec.Struct, frozen=True):
    """A diagnosis.

    Parameters
    ----------
    name : str
        Stable, such as ``vanishing_gradients``.
    severity : {"serious", "warning", "note"}
        How bad it is.
    evidence : str
        The numbers that say so.
    next_step : str
        What to try.
    """

    name: str
    severity: Severity
    evidence: str
    next_step: str


def worst_first(findings: Iterable[Finding]) -> list[Finding]:
    """Sort findings by their severity; equal ones stay as they were.

    >>> found = [Finding(str(severity), severity, "", "") for severity in ("note", "serious")]
    >>> [finding.name for finding in worst_first(found)]
    ['serious', 'note']
    """
    return sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity))

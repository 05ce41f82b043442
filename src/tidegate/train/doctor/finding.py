"""What a doctor says."""

from __future__ import annotations

from typing import Literal

import msgspec

__all__ = ["SEVERITIES", "Finding", "Severity"]

Severity = Literal["serious", "warning", "note"]

SEVERITIES: tuple[Severity, ...] = ("serious", "warning", "note")
"""Worst first. ``serious``: the weights are of little use; ``warning``: they could be better;
``note``: nothing is wrong, but worth knowing."""


class Finding(msgspec.Struct, frozen=True):
    """A diagnosis.

    Parameters
    ----------
    name : str
        Stable, such as ``vanishing_gradients``.
    severity : {"serious", "warning", "note"}
        How bad it is.
    evidence : str
        The numbers of the history that say so.
    next_step : str
        What to try.
    """

    name: str
    severity: Severity
    evidence: str
    next_step: str

"""Which instruction set the kernels use.

The widest that the processor has, unless the environment variable ``TIDEGATE_ISA`` names another.
fp32 results are equal on all sets but ``scalar``, to which they are close; int8 results are equal
on all.
"""

from __future__ import annotations

import os

from tidegate import _core
from tidegate.errors import EngineError

__all__ = ["isa", "isas", "use_isa"]

VARIABLE = "TIDEGATE_ISA"


def isas() -> list[str]:
    """Return the sets that this processor and build have, the widest last.

    Examples
    --------
    >>> "scalar" in isas()
    True
    """
    return _core.isas()


def isa() -> str:
    """Return the set in use.

    Examples
    --------
    >>> isa() in isas()
    True
    """
    return _core.isa()


def use_isa(name: str) -> None:
    """Use a set from now on, for every model. Not while another thread steps.

    Parameters
    ----------
    name : str
        One of `isas`.

    Raises
    ------
    EngineError
        ``unknown_isa``: there is no such set here.

    Examples
    --------
    >>> use_isa("abacus")
    Traceback (most recent call last):
        ...
    tidegate.errors.EngineError: TIDEGATE_ISA: 'abacus' is no instruction set of this machine
    (unknown_isa); use one of scalar...
    """
    if not _core.use_isa(name):
        raise EngineError(
            "unknown_isa",
            f"{name!r} is no instruction set of this machine",
            field=VARIABLE,
            hint=f"use one of {', '.join(isas())}, or leave the variable out for the widest",
        )


if VARIABLE in os.environ:
    use_isa(os.environ[VARIABLE])

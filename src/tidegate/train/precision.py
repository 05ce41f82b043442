"""Mixed precision: which arithmetic the network's passes use."""

from __future__ import annotations

import torch

from tidegate.train.settings import Precision

__all__ = ["autocast", "make_scaler"]

_TYPES = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}


def autocast(precision: Precision, device: torch.device) -> torch.autocast:
    """Return a context in which matrix products are taken in a precision; weights stay float32.

    Examples
    --------
    >>> with autocast("bf16", torch.device("cpu")):
    ...     print((torch.ones(2, 2) @ torch.ones(2, 2)).dtype)
    torch.bfloat16
    """
    dtype = _TYPES[precision]
    return torch.autocast(device.type, dtype=dtype, enabled=dtype is not None)


def make_scaler(precision: Precision, device: torch.device) -> torch.amp.GradScaler:
    """Return what keeps small fp16 gradients from vanishing; in other precisions it does nothing.

    References
    ----------
    P. Micikevicius et al., "Mixed precision training", 2018.
    """
    return torch.amp.GradScaler(device.type, enabled=precision == "fp16")

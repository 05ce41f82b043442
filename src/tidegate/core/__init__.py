"""The Python face of the C core: kernels, checksums, the encoder, elementary functions, peaks.

`pack` turns a bundle's weights into a `Model` whose `step` runs in C, without the
interpreter's lock. An `Encoder` is the schema in C (`schema.native` makes one). `log1p`, and
`sin_turn` and `cos_turn` of a share of a full turn, map float64 arrays to new ones: within 1.5
units in the last place and, unlike NumPy's, the same bits on every processor. `peak_gops` and
`read_gbps` measure what one thread can do at most. A `Group` holds changes for a store's
`Log` (`tidegate.store.LogStore` is its face).
"""

from __future__ import annotations

from tidegate._core import (
    OUTPUT_NOT_FINITE,
    ROWS_BAD,
    Arena,
    Encoder,
    Group,
    Log,
    LogError,
    Model,
    activate,
    cos_turn,
    crc32c,
    log1p,
    peak_gops,
    read_gbps,
    run,
    sin_turn,
    siphash,
    step,
    step_events,
)
from tidegate.core.isa import isa, isas, use_isa
from tidegate.core.pack import FEW_OUTPUTS, Precision, pack

__all__ = [
    "FEW_OUTPUTS",
    "OUTPUT_NOT_FINITE",
    "ROWS_BAD",
    "Arena",
    "Encoder",
    "Group",
    "Log",
    "LogError",
    "Model",
    "Precision",
    "activate",
    "cos_turn",
    "crc32c",
    "isa",
    "isas",
    "log1p",
    "pack",
    "peak_gops",
    "read_gbps",
    "run",
    "sin_turn",
    "siphash",
    "step",
    "step_events",
    "use_isa",
]

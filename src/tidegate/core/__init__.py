"""The Python face of the C core: kernels, checksums and what the processor can do at most.

`pack` turns a bundle's weights into a `Model` whose `step` runs in C, without the
interpreter's lock.
"""

from __future__ import annotations

from tidegate._core import Model, activate, crc32c, peak_gops, read_gbps
from tidegate.core.isa import isa, isas, use_isa
from tidegate.core.pack import Precision, pack

__all__ = [
    "Model",
    "Precision",
    "activate",
    "crc32c",
    "isa",
    "isas",
    "pack",
    "peak_gops",
    "read_gbps",
    "use_isa",
]

"""The Python face of the C core: kernels and checksums.

`pack` turns a bundle's weights into a `Model` whose `step` runs in C, without the
interpreter's lock.
"""

from __future__ import annotations

from tidegate._core import Model, activate, crc32c
from tidegate.core.isa import isa, isas, use_isa
from tidegate.core.pack import Precision, pack

__all__ = ["Model", "Precision", "activate", "crc32c", "isa", "isas", "pack", "use_isa"]

from typing import Any

import numpy as np
from numpy.typing import NDArray

def crc32c(data: bytes, value: int = 0) -> int: ...
def isas() -> list[str]: ...
def isa() -> str: ...
def use_isa(name: str) -> bool: ...
def activate(
    fast: bool, x: NDArray[np.float32], sigmoid: NDArray[np.float32], tanh: NDArray[np.float32]
) -> None: ...

class Model:
    def __init__(
        self, precision: str, row_size: int, numbers: list[int], fast_activations: bool = False
    ) -> None: ...
    def add_layer(
        self,
        cell: str,
        hidden_size: int,
        residual: bool,
        input: dict[str, Any],
        recurrent: dict[str, Any],
        candidate: dict[str, Any] | None = None,
        norms: dict[str, NDArray[np.float32]] | None = None,
    ) -> None: ...
    def add_category(self, column: int, table: NDArray[np.float32]) -> None: ...
    def set_head(self, weight: NDArray[np.float32], bias: NDArray[np.float32]) -> None: ...
    def step(
        self,
        rows: NDArray[np.float32],
        slots: NDArray[np.int64],
        states: NDArray[np.float32],
        outputs: NDArray[np.float32],
    ) -> None: ...
    def run(
        self,
        rows: NDArray[np.float32],
        state: NDArray[np.float32],
        outputs: NDArray[np.float32],
    ) -> None: ...
    @property
    def state_size(self) -> int: ...
    @property
    def output_size(self) -> int: ...

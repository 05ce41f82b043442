import numpy as np
from numpy.typing import NDArray

def crc32c(data: bytes, value: int = 0) -> int: ...

class Model:
    def __init__(self, row_size: int, numbers: list[int]) -> None: ...
    def add_layer(
        self,
        cell: str,
        input: NDArray[np.float32],
        recurrent: NDArray[np.float32],
        b_input: NDArray[np.float32],
        b_recurrent: NDArray[np.float32],
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
    @property
    def state_size(self) -> int: ...
    @property
    def output_size(self) -> int: ...

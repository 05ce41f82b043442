from typing import Any

import numpy as np
from numpy.typing import NDArray

def crc32c(data: bytes, value: int = 0) -> int: ...
def log1p(numbers: NDArray[np.float64]) -> NDArray[np.float64]: ...
def sin_turn(shares: NDArray[np.float64]) -> NDArray[np.float64]: ...
def cos_turn(shares: NDArray[np.float64]) -> NDArray[np.float64]: ...

FieldSpec = tuple[
    str,  # name
    int,  # column
    int | None,  # column of the indicator
    int | None,  # slot in the state
    bool,  # required
    bool,  # constant
    bool,  # logged
    float,  # fill
    float,  # center
    float,  # spread
    tuple[str, ...] | None,  # values of a category
]

class Encoder:
    def __init__(
        self,
        fields: list[FieldSpec],
        delta: tuple[int, float, float] | None,
        hour: int | None,
        weekday: int | None,
        utc_offset_hours: float,
    ) -> None: ...
    def encode(
        self,
        columns: dict[str, NDArray[Any]],
        times: NDArray[np.float64],
        states: NDArray[np.float64],
        rows: NDArray[np.float32],
    ) -> list[tuple[int, int, int]]: ...
    @property
    def width(self) -> int: ...
    @property
    def state_size(self) -> int: ...

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

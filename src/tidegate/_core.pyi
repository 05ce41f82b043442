from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

RECORD_CODES: tuple[str, ...]
ROWS_BAD: int
OUTPUT_NOT_FINITE: int

def crc32c(data: bytes, value: int = 0) -> int: ...
def exp(numbers: NDArray[np.float64]) -> NDArray[np.float64]: ...
def log1p(numbers: NDArray[np.float64]) -> NDArray[np.float64]: ...
def sin_turn(shares: NDArray[np.float64]) -> NDArray[np.float64]: ...
def cos_turn(shares: NDArray[np.float64]) -> NDArray[np.float64]: ...
def peak_gops(isa: str, precision: str) -> float: ...
def read_gbps(size: int) -> float: ...
def isas() -> list[str]: ...
def isa() -> str: ...
def use_isa(name: str) -> bool: ...
def activate(
    fast: bool, x: NDArray[np.float32], sigmoid: NDArray[np.float32], tanh: NDArray[np.float32]
) -> None: ...

class Group:
    def __init__(self) -> None: ...
    def add(self, key: bytes, value: bytes, kind: int = 1, stamp: float = 0.0) -> None: ...
    def delete(self, key: bytes) -> None: ...
    def items(self) -> list[tuple[bytes, bytes | None]]: ...
    def __len__(self) -> int: ...
    @property
    def nbytes(self) -> int: ...

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

class Arena:
    def __init__(self, hidden_size: int, encoder_size: int) -> None: ...
    def __len__(self) -> int: ...
    def __contains__(self, session: str) -> bool: ...
    def find(self, sessions: Iterable[str]) -> NDArray[np.int64]: ...
    def take(self, sessions: Iterable[str]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]: ...
    def drop(self, sessions: Iterable[str]) -> int: ...
    def export_state(self, session: str) -> tuple[NDArray[np.float64], NDArray[np.float32]]: ...
    def import_state(
        self, session: str, encoder: NDArray[np.float64], hidden: NDArray[np.float32]
    ) -> None: ...
    def mark_dirty(self, sessions: Iterable[str]) -> int: ...
    def dirty(self) -> list[str]: ...
    def clean(self, sessions: Iterable[str] | None = None) -> None: ...
    def coldest(self, n: int) -> list[str]: ...
    def export_records(
        self,
        sessions: Iterable[str],
        fingerprint: bytes,
        model_version: str,
        seqs: NDArray[np.uint64],
        times: NDArray[np.float64],
        statuses: NDArray[np.uint8],
        answer_states: Iterable[bytes] | None = None,
        answers: Iterable[bytes] | None = None,
        events: Iterable[bytes] | None = None,
    ) -> list[bytes]: ...
    def import_records(
        self, sessions: Iterable[str], records: Iterable[bytes], fingerprint: bytes
    ) -> tuple[
        NDArray[np.uint8],
        NDArray[np.uint64],
        NDArray[np.float64],
        NDArray[np.uint8],
        NDArray[np.int64],
    ]: ...
    @property
    def bytes(self) -> int: ...
    @property
    def hidden_size(self) -> int: ...
    @property
    def encoder_size(self) -> int: ...

class Model:
    def __init__(
        self,
        precision: str,
        row_size: int,
        numbers: list[int],
        fast_activations: bool = False,
        threads: int = 1,
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
    def set_head(self, kind: str, parts: dict[str, Any]) -> None: ...
    def step_top(
        self,
        rows: NDArray[np.float32],
        slots: NDArray[np.int64],
        states: NDArray[np.float32],
        scores: NDArray[np.float32],
        indices: NDArray[np.int64],
    ) -> None: ...
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

def step(
    model: Model,
    arena: Arena,
    sessions: Sequence[str],
    rows: NDArray[np.float32],
    outputs: NDArray[np.float32],
    indices: NDArray[np.int64] | None = None,
) -> int: ...
def run(
    model: Model,
    arena: Arena,
    session: str,
    rows: NDArray[np.float32],
    outputs: NDArray[np.float32],
) -> int: ...
def step_events(
    model: Model,
    encoder: Encoder,
    arena: Arena,
    sessions: Sequence[str],
    columns: dict[str, NDArray[Any]],
    times: NDArray[np.float64],
    outputs: NDArray[np.float32],
    faults: NDArray[np.int32],
) -> int: ...

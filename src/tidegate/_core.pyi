from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidegate.core.ids import Ids
from tidegate.core.pieces import Piece

RECORD_CODES: tuple[str, ...]
OUTCOMES: tuple[str, ...]
ROWS_BAD: int
OUTPUT_NOT_FINITE: int

def crc32c(data: bytes, value: int = 0) -> int: ...
def exp(numbers: NDArray[np.float64]) -> NDArray[np.float64]: ...
def xxh64(data: bytes, seed: int = 0) -> int: ...
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
    def clear(self) -> None: ...
    def items(self) -> list[tuple[bytes, bytes | None]]: ...
    def __len__(self) -> int: ...
    @property
    def nbytes(self) -> int: ...

class LogError(Exception):
    args: tuple[int, int, str]

class Log:
    def __init__(
        self,
        path: bytes,
        segment_size: int,
        space: float,
        sync_ms: int,
        read_only: bool,
        tolerant: bool,
    ) -> None: ...
    def close(self) -> int: ...
    @property
    def closed(self) -> bool: ...
    def append(self, group: Group) -> int: ...
    def progress(self) -> tuple[int, bool, list[tuple[float, float, int, int]]]: ...
    def wait(self, ticket: int, seconds: float) -> int: ...
    def recover(self) -> bool: ...
    def cut(self) -> bool: ...
    @property
    def failed(self) -> bool: ...
    def failure(self) -> tuple[int, int, str]: ...
    def ages(self, live_seconds: float, tombstone_seconds: float, now: float) -> None: ...
    def get(self, keys: Sequence[bytes]) -> list[bytes | None]: ...
    def scan(self, shard: int, prefix: bytes) -> list[tuple[bytes, bytes, int, int, int, bool]]: ...
    def stats(self) -> dict[str, Any]: ...
    def damages(self) -> list[tuple[int, int, str]]: ...
    def segments(self) -> list[tuple[int, int]]: ...
    def read_segment(self, i: int, offset: int, size: int) -> bytes: ...
    def current(self) -> bytes: ...
    def fileno(self) -> int: ...
    @property
    def queued_bytes(self) -> int: ...
    @property
    def synced(self) -> int: ...

def siphash(seed: bytes, data: bytes) -> bytes: ...

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
        positions: list[int] | None = None,
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

Column = NDArray[Any] | tuple[NDArray[np.int32], Sequence[str]]

class LinePlan:
    def __init__(
        self,
        fields: Sequence[tuple[str, str, bool]],
        earliest: float,
        latest: float,
        most_seq: int,
    ) -> None: ...
    def read(
        self, data: bytes, count: int
    ) -> (
        tuple[
            tuple[NDArray[np.int32], NDArray[np.uint8]],
            NDArray[np.int64],
            NDArray[np.float64] | None,
            NDArray[np.uint8] | None,
            dict[str, Column],
        ]
        | None
    ): ...

def cut_lines(data: bytes, begin: int, most: int, bytes: int) -> tuple[int, int, int, bool]: ...
def write_rows(size: int, pieces: list[Piece]) -> bytes: ...

class Typing:
    def __init__(self, fields: Sequence[tuple[str, str, bool]]) -> None: ...

def type_columns(plan: Typing, events: list[Any]) -> tuple[dict[str, NDArray[Any]], list[int]]: ...
def judge_each(
    statuses: NDArray[np.uint8],
    last: NDArray[np.int64],
    offsets: NDArray[np.int64],
    kept_seqs: NDArray[np.uint64],
    kept_hashes: NDArray[np.uint64],
    seqs: NDArray[np.int64],
    hashes: NDArray[np.uint64],
    starts: NDArray[np.uint8],
) -> tuple[list[int], list[int], list[int], list[int]]: ...

class Processed:
    codes: NDArray[np.uint8]
    seqs: NDArray[np.int64]
    expected: NDArray[np.int64]
    times: NDArray[np.float64]
    marks: NDArray[np.uint8]
    outputs: NDArray[np.float32]
    faults: NDArray[np.int32]
    encoder_before: dict[int, NDArray[np.float64]]
    versions: dict[int, str]
    changed: int

class Table:
    def __init__(
        self,
        model: Model,
        encoder: Encoder,
        fingerprint: bytes,
        model_version: str,
        key_prefix: bytes,
        *,
        answers: int = 8,
        answer_bytes: int = 16384,
        ttl_seconds: float = ...,
        tombstone_seconds: float = 86400.0,
    ) -> None: ...
    def missing(self, sessions: Ids) -> NDArray[np.int64]: ...
    def load(self, sessions: Ids, records: Sequence[bytes | None]) -> list[int]: ...
    def process(
        self,
        sessions: Ids,
        seqs: NDArray[np.int64] | None,
        times: NDArray[np.float64] | None,
        received: float,
        flags: NDArray[np.uint8] | None,
        requests: NDArray[np.int64] | None,
        columns: dict[str, Column],
        group: Group | None,
        ticket: int,
        failed: Iterable[tuple[int, str]] = (),
    ) -> Processed: ...
    def head(
        self, session: str, now: float
    ) -> tuple[str, int, float, float, float, str, bool] | None: ...
    def delete(self, session: str, now: float, group: Group | None, ticket: int) -> bool: ...
    def kept(self, session: str) -> list[tuple[int, int, float, bytes, bool, str]]: ...
    def states(self, session: str) -> tuple[NDArray[np.float64], NDArray[np.float32]]: ...
    def evict(self, n: int, durable_ticket: int) -> int: ...
    def rollback(self, durable_ticket: int) -> int: ...
    def contains(self, session: str) -> bool: ...
    def __contains__(self, session: str) -> bool: ...
    def __len__(self) -> int: ...
    @property
    def live(self) -> int: ...
    @property
    def nbytes(self) -> int: ...

"""The Python face of the C core: kernels, checksums, the encoder, elementary functions, peaks.

`pack` turns a bundle's weights into a `Model` whose `step` runs in C, without the
interpreter's lock. An `Encoder` is the schema in C (`schema.native` makes one). `log1p`, `own_exp`,
and `sin_turn` and `cos_turn` of a share of a full turn, map float64 arrays to new ones: within 1.5
units in the last place and, unlike NumPy's, the same bits on every processor. `peak_gops` and
`read_gbps` measure what one thread can do at most. A `Group` holds changes for a store's
`Log` (`tidegate.store.LogStore` is its face). A `Table` holds the sessions of a server, and takes
batches of events through the sequence rules, the schema and the model; `OUTCOMES` names what it
says of each, and `judge_each` is the rules alone. `type_columns` turns dicts of raw fields into
columns; `cut_lines` and a `LinePlan` make `Events` of JSON, which a `Table` takes as they are, and
`AnswerWords` words what came of them.
"""

from __future__ import annotations

from tidegate._core import (
    OUTCOMES,
    OUTPUT_NOT_FINITE,
    RECORD_CODES,
    ROWS_BAD,
    AnswerWords,
    Arena,
    Encoder,
    Events,
    Group,
    LinePlan,
    Log,
    LogError,
    Model,
    Processed,
    Table,
    Typing,
    activate,
    cos_turn,
    crc32c,
    cut_lines,
    exp,
    judge_each,
    log1p,
    own_exp,
    peak_gops,
    read_gbps,
    run,
    sin_turn,
    siphash,
    step,
    step_events,
    type_columns,
    xxh64,
)
from tidegate.core.ids import Ids
from tidegate.core.isa import isa, isas, use_isa
from tidegate.core.pack import FEW_OUTPUTS, Precision, Weights, pack

__all__ = [
    "FEW_OUTPUTS",
    "OUTCOMES",
    "OUTPUT_NOT_FINITE",
    "RECORD_CODES",
    "ROWS_BAD",
    "AnswerWords",
    "Arena",
    "Encoder",
    "Events",
    "Group",
    "Ids",
    "LinePlan",
    "Log",
    "LogError",
    "Model",
    "Precision",
    "Processed",
    "Table",
    "Typing",
    "Weights",
    "activate",
    "cos_turn",
    "crc32c",
    "cut_lines",
    "exp",
    "isa",
    "isas",
    "judge_each",
    "log1p",
    "own_exp",
    "pack",
    "peak_gops",
    "read_gbps",
    "run",
    "sin_turn",
    "siphash",
    "step",
    "step_events",
    "type_columns",
    "use_isa",
    "xxh64",
]

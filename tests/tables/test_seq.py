"""Events in the order in which the server took them, whatever their times."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from tidegate import tables
from tidegate.bundle import Bundle
from tidegate.engine import Engine, offline
from tidegate.errors import InputError
from tidegate.schema import Columns

EVENTS = pl.DataFrame(
    {
        "car": ["b", "a", "b", "a", "b"],
        "no": [3, 1, 1, 2, 2],
        "at": [10.0, 30.0, 40.0, 35.0, 20.0],
        "x": [0.0, 1.0, 2.0, 3.0, 4.0],
    }
)


def read(source: Any, **changed: Any) -> tables.EventTable:
    names = {"session": "car", "time": "at", "seq": "no", "fields": {"x": "numeric"}}
    return tables.read(source, **names | changed)


@pytest.mark.parametrize("kind", ["frame", "csv", "floats"])
def test_numbers_order_a_session_and_times_may_fall(kind: str, tmp_path: Path) -> None:
    source: Any = EVENTS
    if kind == "floats":
        source = EVENTS.with_columns(pl.col("no").cast(pl.Float64))
    if kind == "csv":
        source = tmp_path / "events.csv"
        EVENTS.write_csv(source)
    table = read(source)
    assert table.sessions == ["a", "b"]  # by the time of the first event
    assert table.source_rows.tolist() == [1, 3, 2, 4, 0]
    assert table.seqs.tolist() == [1, 2, 1, 2, 3]
    assert table.times.tolist() == [30.0, 35.0, 40.0, 20.0, 10.0]
    assert table.columns["x"].tolist() == [1.0, 3.0, 2.0, 4.0, 0.0]
    assert table.notes == ["events at a time before their session's previous one: 2"]


def test_numbers_order_events_without_times() -> None:
    table = read(EVENTS, time=None)
    assert table.sessions == ["b", "a"]
    assert table.source_rows.tolist() == [2, 4, 0, 1, 3]
    assert table.notes == [
        "no time column: events are ordered by their numbers, and every time is 0"
    ]


def test_a_table_in_the_order_of_numbers_gives_what_was_live(
    make_bundle: Callable[..., Bundle],
    random_events: Callable[[int, np.random.Generator], Columns],
) -> None:
    rng = np.random.default_rng(3)
    bundle = make_bundle()
    engine = Engine.open(bundle)
    columns, times = random_events(60, rng), rng.permutation(60) * 30.0
    sessions = rng.choice(["a", "b", "c"], 60).tolist()
    seqs = [sessions[: i + 1].count(session) for i, session in enumerate(sessions)]
    live = np.concatenate(
        [
            engine.step_events(
                [sessions[i]], {n: c[[i]] for n, c in columns.items()}, times[[i]]
            ).outputs
            for i in range(60)
        ]
    )
    frame = pl.DataFrame(
        {"car": sessions, "no": seqs, "at": times}
        | {n: [None if v != v else v for v in c.tolist()] for n, c in columns.items()}
    ).sample(fraction=1.0, shuffle=True, seed=1)
    table = read(frame, fields={n: f.kind for n, f in bundle.schema.config.fields.items()})
    outputs = offline.outputs(engine, table.columns, table.times, table.offsets)
    place = {(sessions[i], seqs[i]): i for i in range(60)}
    ids = np.repeat(table.sessions, table.lengths).tolist()
    order = [place[key] for key in zip(ids, table.seqs.tolist(), strict=True)]
    assert outputs.tobytes() == live[order].tobytes()


@pytest.mark.parametrize(
    ("numbers", "says"),
    [
        ([3, 1, 1, 3, 2], "3 in row 4 is not the next number of session 'a', 2"),
        ([2, 1, 1, 2, 2], "2 in row 5 is not the next number of session 'b', 3"),
        ([3, 0, 1, 1, 2], "0 in row 2 is not the next number of session 'a', 1"),
        ([3, 2, 1, 3, 2], "2 in row 2 is not the next number of session 'a', 1"),
        ([3, 1, 1, 1.5, 2], "1.5 in row 4 is not the next number of session 'a', 2"),
        ([3, 1, 1, None, 2], "is missing in row 4"),
        (["3", "1", "1", "2", "2"], "'3' in row 1 is not a number"),
    ],
)
def test_numbers_that_are_not_the_servers(numbers: list[Any], says: str) -> None:
    with pytest.raises(InputError) as caught:
        read(EVENTS.with_columns(no=pl.Series(numbers, strict=False)))
    assert (caught.value.code, caught.value.field) == ("bad_seq", "no")
    assert says in caught.value.message

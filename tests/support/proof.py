"""What a server of a bundle says to real events, beside what scoring them says without it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from gate import Gate
from polars.testing import assert_frame_equal

from tidegate import answers, scoring
from tidegate import bundle as bundles
from tidegate.bundle import Bundle
from tidegate.client import Client
from tidegate.engine import offline
from tidegate.tables import EventTable

PREFIX = "one-by-one/"


@dataclass(frozen=True)
class Proof:
    """How much was compared, all of it equal to the bit."""

    events: int
    sessions: int
    one_by_one: int


def sample(path: Path, session: str, time: str | None, most: int, longest: int) -> pl.DataFrame:
    """The sessions that begin last, each from its beginning."""
    events = pl.read_csv(path) if path.suffix == ".csv" else pl.read_parquet(path)
    order = events.with_row_index("place")
    if time is not None:
        order = order.sort(time, "place")
    last = order.unique(session, keep="first", maintain_order=True)[session].tail(most)
    kept = order.filter(pl.col(session).is_in(last.implode()))
    return kept.filter(pl.int_range(pl.len()).over(session) < longest).drop("place")


def prove(bundle: Path, events: Path, scored: Path, store: Path, longest: int = 20) -> Proof:
    """Send events to a server of its own, as a table and one by one, and compare all answers.

    Parameters
    ----------
    bundle : Path
        The bundle.
    events : Path
        A table with the columns of training.
    scored : Path
        What `tidegate score` wrote of it: a .parquet file.
    store : Path
        The server's, made anew.
    longest : int
        Events that are sent one by one, of three sessions each.
    """
    loaded = bundles.load(bundle)
    columns = {"session": None, "time": None, "seq": None, **loaded.provenance["columns"]}
    table = scoring.read(loaded, events)
    gate = Gate(bundle, store)
    try:
        with Client(gate.url, loaded.name) as client:
            answered = client.score(
                events, session=columns["session"], time=columns["time"], seq=columns["seq"]
            )
            compare(answered, pl.read_parquet(scored), timed=columns["time"] is not None)
            one_by_one = _stream(client, loaded, table, longest, timed=columns["time"] is not None)
    finally:
        gate.close()
    return Proof(table.n_events, len(table.sessions), one_by_one)


def compare(answered: pl.DataFrame, scored: pl.DataFrame, *, timed: bool) -> None:
    """Check that a frame from the client is what `tidegate score` wrote, to the bit."""
    assert answered["error_code"].null_count() == len(answered), answered["error_message"][0]
    extra = ["duplicate", "error_code", "error_message"]
    assert answered.columns == [*scored.columns, *extra]
    if not timed:  # then a server's clock counts, and a table has the time 0
        answered, scored = answered.drop("time"), scored.drop("time")
    assert_frame_equal(answered.drop(extra), scored, check_exact=True)


def _stream(client: Client, loaded: Bundle, table: EventTable, longest: int, *, timed: bool) -> int:
    few = table.take(list(range(min(3, len(table.sessions)))))
    outputs = offline.outputs(offline.open(loaded), few.columns, few.times, few.offsets)
    expected = answers.open(loaded.task).answer(outputs)
    sent = 0
    for place, name in enumerate(few.sessions):
        first, last = few.offsets[place : place + 2].tolist()
        with client.session(PREFIX + name) as session:
            for row in range(first, min(last, first + longest)):
                time = float(few.times[row]) if timed else None
                said = session.send(_event(loaded, few, row), time=time)
                assert said.answer == expected[row], (name, row)
                assert said.seq == row - first + 1
                sent += 1
    return sent


def _event(loaded: Bundle, table: EventTable, row: int) -> dict[str, Any]:
    event = {}
    for name, field in loaded.schema.config.fields.items():
        value = table.columns[name][row]
        missing = value is None or value != value
        kinds = {"category": str, "boolean": bool, "numeric": float}
        event[name] = None if missing else kinds[field.kind](value)
    return event

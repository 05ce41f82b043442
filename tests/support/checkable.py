"""Tables for checks of data: honest ones, which a test makes worse."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import polars as pl

from tidegate import answers, tables
from tidegate.data import splits
from tidegate.data.check import Parts, examine
from tidegate.schema import Field, Schema, SchemaConfig

SESSIONS, EVENTS = 200, 12
STARTS = (150 * 1000.0, 175 * 1000.0)


def honest(seed: int = 0) -> pl.DataFrame:
    """Sessions that begin 1000 s apart, with an event a minute; `state` needs some memory."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(SESSIONS, EVENTS))
    site = np.repeat(rng.choice(["north", "south"], SESSIONS), EVENTS)
    loud = (noise > 0.8).astype(np.int64)
    return pl.DataFrame(
        {
            "id": np.repeat([f"s{i}" for i in range(SESSIONS)], EVENTS),
            "at": (np.arange(SESSIONS)[:, None] * 1000.0 + np.arange(EVENTS) * 60).ravel(),
            "noise": noise.ravel(),
            "site": site,
            # Worn from the second loud reading on; a flip, that nothing tells, of each tenth.
            "worn": ((loud.cumsum(axis=1) >= 2) ^ (rng.random(noise.shape) < 0.1)).ravel(),
            "level": (noise.cumsum(axis=1) + rng.normal(size=noise.shape)).ravel(),
        }
    ).with_columns(pl.col("worn").cast(pl.Int64))


def parts_of(
    frame: pl.DataFrame,
    task: Literal["classify", "regress"] = "classify",
    label: str = "worn",
    per: Literal["event", "session"] = "event",
    **kinds: Any,
) -> Parts:
    """Split a frame by time; `kinds` are of fields beside ``noise`` and ``site``."""
    fields = {"noise": "numeric", "site": "category", **kinds}
    table = tables.read(frame, session="id", time="at", label=label, fields=fields)
    assert table.labels is not None
    spec = answers.fit_task(task, label, per, table.labels)
    train, valid, test = splits.by_time(table, STARTS)
    config = SchemaConfig({name: Field(kind, missing="zero") for name, kind in fields.items()})
    schema = Schema.fit(config, train.columns, train.times, train.offsets)
    return Parts.of(train, valid, test, schema=schema, task=spec, starts=STARTS)


def named(parts: Parts) -> list[tuple[str, str]]:
    """What is found: names and severities."""
    return [(finding.name, finding.severity) for finding in examine(parts)]

"""What the sections of a report are made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidegate import answers, tables, tasks
from tidegate.bundle import Bundle
from tidegate.engine import offline
from tidegate.errors import InputError
from tidegate.spec import LABELLED
from tidegate.tables import EventTable
from tidegate.train.report import groups
from tidegate.train.report.scored import Scored

__all__ = ["ReportData"]

MAX_CATEGORIES = 30
"""A field of the schema with up to so many is a segment without being asked for."""

MAX_SEGMENTS = 6


@dataclass(frozen=True, eq=False)
class ReportData:
    """A bundle, labelled events, and its answers to them.

    Parameters
    ----------
    bundle : Bundle
        What is reported on.
    table : EventTable
        Labelled events.
    scored : Scored
        Its answers, of all events.
    metric : str
        Which metric intervals, groups and importance are of.
    metrics : dict of str to float
        The task's, as `tidegate evaluate` computes them.
    intervals : dict of str to (float, float)
        Of the metrics, 95 %.
    segments : mapping of str to array (events,)
        Columns whose values make groups.
    source : str
        What the events are called.
    seed : int
        Of everything that is drawn.
    note : str, optional
        What is to be said above the metrics.
    """

    bundle: Bundle
    table: EventTable
    scored: Scored
    metric: str
    metrics: dict[str, float]
    intervals: dict[str, groups.Interval]
    segments: Mapping[str, NDArray[Any]]
    source: str = "events"
    seed: int = 0
    note: str | None = None

    @classmethod
    def of(
        cls,
        bundle: Bundle,
        table: EventTable,
        *,
        metric: str | None = None,
        segments: Mapping[str, NDArray[Any]] | None = None,
        source: str = "events",
        seed: int = 0,
    ) -> ReportData:
        """Run the events through the bundle and measure its answers; see `report.make`."""
        if bundle.task.name == "embed":
            raise InputError(
                "nothing_to_measure",
                f"{bundle.name} {bundle.version} answers with its state, which is neither right "
                "nor wrong",
                field="bundle",
                hint="report on the bundle that it was made from",
            )
        with tables.naming_rows(table.source_rows):
            numbers = offline.outputs(
                offline.open(bundle), table.columns, table.times, table.offsets
            )
            truth = answers.open(bundle.task).truth(table, bundle.schema)
        scored = Scored(bundle.task, numbers, truth, table.offsets)
        metrics = scored.metrics()
        if metrics["n"] == 0:
            raise InputError(
                "no_labels",
                f"none of the {table.n_events:,} events has a label",
                field=bundle.task.label,
                hint="give events whose outcome is known",
            )
        return cls(
            bundle,
            table,
            scored,
            _metric(bundle, metrics, metric),
            metrics,
            groups.intervals(scored, seed=seed),
            _segments(bundle, table, scored.known) if segments is None else segments,
            source,
            seed,
        )

    @property
    def early(self) -> Scored:
        """The answers, each event measured, also where only a session's last has a label."""
        if self.bundle.task.per != "session":
            return self.scored
        last = self.table.offsets[1:] - 1
        truth = np.repeat(self.scored.truth[last], self.table.lengths, axis=0)
        return replace(self.scored, truth=truth)

    @property
    def measured(self) -> str:
        """On how much was measured, in words."""
        known = self.scored.pick(self.scored.known)
        if self.bundle.task.name not in LABELLED and not len(known.numbers):
            return f"{self.table.n_events:,} events of {len(self.table.sessions):,} sessions"
        sessions = int((np.diff(known.offsets) > 0).sum())
        what = "labelled events" if self.bundle.task.name in LABELLED else "events"
        return f"{len(known.numbers):,} {what} of {sessions:,} sessions"


def _metric(bundle: Bundle, metrics: Mapping[str, float], wanted: str | None) -> str:
    """Return the metric that was asked for, or that training watched, or the task's."""
    known = [name for name in metrics if name != "n"]
    if wanted is not None:
        if wanted not in known:
            raise InputError(
                "unknown_metric",
                f"{wanted!r} is not measured on these events",
                field="--metric",
                hint=f"use one of {', '.join(known)}",
            )
        return wanted
    settings = bundle.provenance.get("settings", {}).get("train", {})
    watched = settings.get("watch")
    return watched if watched in known else tasks.open(bundle.task).watch


def _segments(
    bundle: Bundle, table: EventTable, labelled: NDArray[np.bool_]
) -> dict[str, NDArray[Any]]:
    """Return the first fields that have a few different values where there are labels."""
    found = {}
    for name, field in bundle.schema.config.fields.items():
        column = table.columns[name]
        values = {v for v in column[labelled].tolist() if v is not None and v == v}
        if field.kind != "numeric" and 2 <= len(values) <= MAX_CATEGORIES:
            found[name] = _words(column) if field.kind == "boolean" else column
    return dict(list(found.items())[:MAX_SEGMENTS])


def _words(column: NDArray[np.float64]) -> NDArray[Any]:
    words = {0.0: "false", 1.0: "true"}
    return np.array([words.get(value) for value in column.tolist()], dtype=object)

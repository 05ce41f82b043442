"""A report on a trained model: one HTML page that needs no network, from labelled events.

`make` measures and gives a `page.Page`; `page.render` turns it, or a page of other sections, into
HTML. A task has sections of its own in `OF_TASK`: a section is a function of the `ReportData` that
gives a `page.Section`, or None where it has nothing to say.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from numpy.typing import NDArray

from tidegate import __version__
from tidegate.bundle import Bundle
from tidegate.tables import EventTable
from tidegate.train.report import (
    anomaly,
    classify,
    events,
    forecast,
    language,
    model,
    next_item,
    regress,
    tag,
    whole,
)
from tidegate.train.report.data import ReportData
from tidegate.train.report.page import Page, Section, render

__all__ = ["OF_TASK", "Page", "ReportData", "Section", "make", "page_of", "render"]

SectionOf = Callable[[ReportData], Section | None]

OF_TASK: dict[str, tuple[SectionOf, ...]] = {
    "classify": (classify.calibration, classify.confusions),
    "regress": (regress.residuals,),
    "forecast": (forecast.horizons,),
    "anomaly": (anomaly.surprise,),
    "next_item": (next_item.ranks, next_item.popularity),
    "tag": (tag.tags, tag.unseen, classify.calibration, classify.confusions),
    "language": (language.surprise, language.sample),
}
"""The sections that a task has of its own, after its metrics."""

_AFTER: tuple[SectionOf, ...] = (
    whole.position,
    whole.segments,
    whole.worth,
    model.gates,
    model.training,
    events.profile,
    model.model_card,
)


def make(
    bundle: Bundle,
    table: EventTable,
    *,
    metric: str | None = None,
    segments: Mapping[str, NDArray[Any]] | None = None,
    source: str = "events",
    seed: int = 0,
    note: str | None = None,
) -> Page:
    """Measure a bundle on labelled events.

    Parameters
    ----------
    bundle : Bundle
        From `bundle.load`.
    table : EventTable
        Events with labels.
    metric : str, optional
        Which of the task's metrics intervals, segments and importance are of. By default the one
        that training watched.
    segments : mapping of str to array (events,), optional
        Columns whose values make groups: objects of str (None: missing) or float64 (NaN: missing).
        By default the first fields of the schema that have a few different values.
    source : str
        What the events are called.
    seed : int
        Of the sessions that are drawn and the fields that are mixed up: the same seed gives the
        same page.
    note : str, optional
        What is to be said above the metrics, such as that the model knows these events.

    Returns
    -------
    Page
        See `page.render`.

    Raises
    ------
    InputError
        ``nothing_to_measure``: the bundle answers with its state; ``no_labels``;
        ``unknown_metric``; from the schema, naming the field and the row.
    EngineError
        From `engine.offline.open`.
    """
    data = ReportData.of(bundle, table, metric=metric, segments=segments, source=source, seed=seed)
    return page_of(replace(data, note=note))


def page_of(data: ReportData) -> Page:
    """Put together the sections of a report."""
    bundle = data.bundle
    wanted = (whole.metrics, *OF_TASK.get(bundle.task.name, ()), *_AFTER)
    sections = [section for make_one in wanted if (section := make_one(data)) is not None]
    return Page(
        f"{bundle.name} {bundle.version}",
        f"What the model makes of {data.table.n_events:,} events of "
        f"{len(data.table.sessions):,} sessions in {data.source}, each session from its beginning, "
        f"with the arithmetic of the server ({bundle.precision}).",
        sections,
        (f"Made by tidegate {__version__}; seed {data.seed}. This page loads nothing.",),
    )

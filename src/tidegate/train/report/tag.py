"""Sections of tags: which are found, and what of words that training never saw."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tidegate.answers.spans import Bio, entity_metrics, is_bio
from tidegate.train.report import words
from tidegate.train.report.data import ReportData
from tidegate.train.report.page import Block, Section, Table

__all__ = ["tags", "unseen"]

MOST = 40
"""Tags that are listed one by one, by their number of events."""

Counts = NDArray[np.int64]


def tags(data: ReportData) -> Section:
    """Say how well each tag is found, and each type of entity where tags tell some."""
    truth, said = _answers(data)
    classes = data.bundle.task.classes
    right = np.bincount(truth[truth == said], minlength=len(classes))
    true = np.bincount(truth, minlength=len(classes))
    answered = np.bincount(said, minlength=len(classes))
    f1 = 2 * right / np.maximum(1, true + answered)
    order = np.argsort(-true, kind="stable")
    order = order[true[order] + answered[order] > 0]
    rows = [
        [
            classes[at],
            _taken_for(truth, said, at, classes),
            f"{true[at]:,}",
            words.percent(right[at] / max(1, answered[at])),
            words.percent(right[at] / max(1, true[at])),
            words.percent(f1[at]),
        ]
        for at in order[:MOST].tolist()
    ]
    more = len(order) - len(rows)
    caption = (
        "Precision: of the events that were given the tag, those that have it. Recall: of those "
        "that have it, those that were given it. Beside the tag stands what it was most often "
        "mistaken for." + (f" {more:,} tags with fewer events are left out." if more else "")
    )
    head = ["tag", "mistaken for", "events", "precision", "recall", "F1"]
    blocks: list[Block] = [Table(head, rows, f"{caption} Measured on {data.measured}.", texts=2)]
    often = [at for at in order.tolist() if true[at] >= 10]
    worst = sorted(often, key=lambda at: f1[at])[:3]
    finding = (
        "Found worst: "
        f"{words.listed(f'{classes[at]} (F1 {words.percent(f1[at])})' for at in worst)}."
        if worst
        else ""
    )
    if is_bio(classes):
        blocks.insert(0, _entities(data))
    return Section("Tags", blocks, finding)


def unseen(data: ReportData) -> Section | None:
    """Say what an event is worth whose words training did not meet."""
    known = data.scored.known
    truth, said = _answers(data)
    right = truth == said
    rows, findings = [], []
    for name, field in data.bundle.schema.config.fields.items():
        if field.kind != "category":
            continue
        vocabulary = {*data.bundle.schema.vocabulary(name), None}
        column = data.table.columns[name][known].tolist()
        met = np.array([value in vocabulary for value in column], dtype=bool)
        rows.append([name, *_part(met, right), *_part(~met, right)])
        if 0 < met.sum() < len(met):
            findings.append(
                f"{words.percent(right[met].mean())} of the tags are right where training met the "
                f"{name}, {words.percent(right[~met].mean())} where it did not"
            )
    if not rows:
        return None
    head = ["field", "met in training", "of these right", "not met", "of these right"]
    caption = (
        "Events by whether the model's vocabulary has their value of the field: of one that it "
        f"lacks, it sees no more than that. Measured on {data.measured}."
    )
    finding = f"{findings[0]}." if findings else ""
    return Section("Words that training did not meet", [Table(head, rows, caption)], finding)


def _part(chosen: NDArray[np.bool_], right: NDArray[np.bool_]) -> list[str]:
    return [f"{int(chosen.sum()):,}", words.percent(right[chosen].mean()) if chosen.any() else ""]


def _answers(data: ReportData) -> tuple[Counts, Counts]:
    """Return the true tag and the answered one of labelled events."""
    scored = data.scored.pick(data.scored.known)
    indices, _ = scored.columns()["label"]
    return scored.truth.astype(np.int64), indices.astype(np.int64)


def _taken_for(truth: Counts, said: Counts, tag: int, classes: tuple[str, ...]) -> str:
    wrong = np.bincount(said[(truth == tag) & (said != tag)], minlength=len(classes))
    most = int(wrong.argmax())
    return f"{classes[most]} ({wrong[most]:,})" if wrong[most] else ""


def _entities(data: ReportData) -> Table:
    """Return F1 by the type of entity, read leniently and strictly."""
    classes = data.bundle.task.classes
    bio, outside = Bio.of((*classes, "O")), len(classes)
    known = data.scored.known
    said = np.where(known, data.scored.columns()["label"][0], outside).astype(np.int64)
    truth = np.where(known, np.nan_to_num(data.scored.truth), outside).astype(np.int64)
    spans = [bio.spans(each, data.scored.offsets) for each in (said, truth)]
    rows = []
    for at, name in enumerate(bio.types):
        mine = [each[each[:, 0] == at] for each in spans]
        found = entity_metrics(mine[0], mine[1], bio.types)
        rows.append(
            [
                name,
                f"{len(mine[1]):,}",
                f"{len(mine[0]):,}",
                *(words.percent(found[member]) for member in ("precision", "recall", "f1")),
            ]
        )
    caption = "An entity counts as found where its type and both of its ends are right."
    return Table(["entity", "true", "answered", "precision", "recall", "F1"], rows, caption)

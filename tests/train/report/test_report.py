"""A whole report: its numbers, and what it makes of odd events and hostile names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import reportable
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from tidegate.bundle import Bundle, baseline
from tidegate.cli.evaluate import measure as evaluate
from tidegate.engine import offline, vectors
from tidegate.errors import InputError
from tidegate.schema import Field, Schema, SchemaConfig
from tidegate.spec import LayerSpec, ModelSpec, TaskSpec
from tidegate.tables import EventTable
from tidegate.train import report
from tidegate.train.report import classify, events, model, regress, whole, words
from tidegate.train.report.page import Figure, Table, Tiles

Make = Callable[..., Bundle]
LENGTHS = [1, 2, 7, 12, 30] * 4
THREE = TaskSpec("classify", "size", classes=("s", "m", "l"))
NUMBER = TaskSpec("regress", "delay", target_mean=3.0, target_scale=2.0)


def data_of(bundle: Bundle, random_events: Any, lengths: list[int] = LENGTHS, **options: Any):
    table = reportable.table_of(bundle, random_events, lengths)
    return report.ReportData.of(bundle, table, **options)


def tables_of(section: report.Section) -> list[Table]:
    return [block for block in section.blocks if isinstance(block, Table)]


def checked(page: report.Page) -> reportable.Loads:
    found = reportable.Loads(report.render(page))
    assert found.dangers == []
    assert len(found.ids) == len(set(found.ids))
    return found


def test_metrics_are_those_of_evaluate(make_bundle: Make, random_events: Any) -> None:
    bundle = make_bundle(provenance={"metrics": {"train": {"n": 9, "auc": 0.75}}})
    data = data_of(bundle, random_events)
    _, metrics = evaluate(bundle, data.table)
    assert data.metrics == metrics
    section = whole.metrics(data)
    (tiles,) = (block for block in section.blocks if isinstance(block, Tiles))
    assert [number for _, number, _ in tiles.items] == [
        words.number(value) for name, value in metrics.items() if name != "n"
    ]
    (table,) = tables_of(section)
    known = {"part": "train", "labels": "9", words.metric("auc"): "0.75"}
    assert table.rows[1] == [known.get(name, "") for name in table.head]
    for name, (low, high) in data.intervals.items():
        assert low <= metrics[name] <= high


@pytest.mark.parametrize("task", [TaskSpec("classify", "late", classes=("no", "yes")), THREE])
def test_confusion_is_that_of_scikit_learn(
    make_bundle: Make, random_events: Any, task: TaskSpec
) -> None:
    data = data_of(make_bundle(task=task), random_events)
    known = data.scored.known
    truth = data.scored.truth[known].astype(int)
    answered = data.scored.columns()["label"][0][known]
    matrix, each = tables_of(classify.confusions(data))
    counts = confusion_matrix(truth, answered, labels=range(len(task.classes)))
    shown = [
        [int(cell.split(" ")[0].replace(",", "")) for cell in row[1:-1]] for row in matrix.rows
    ]
    assert np.array_equal(shown, counts)
    precision, recall, _, _ = precision_recall_fscore_support(
        truth, answered, labels=range(len(task.classes)), zero_division=0.0
    )
    for row, p, r, answers in zip(each.rows, precision, recall, counts.sum(axis=0), strict=True):
        assert row[3] == (words.percent(p) if answers else "never answered")
        assert row[4] == words.percent(r)


def test_many_classes_are_folded(make_bundle: Make, random_events: Any) -> None:
    task = TaskSpec("classify", "kind", classes=tuple(f"k{i}" for i in range(40)))
    matrix, _ = tables_of(classify.confusions(data_of(make_bundle(task=task), random_events)))
    assert matrix.head[-2] == f"({40 - classify.MAX_CLASSES + 1} others)"
    assert len(matrix.rows) == classify.MAX_CLASSES
    counts = [[int(cell.split(" ")[0]) for cell in row[1:]] for row in matrix.rows]
    assert [sum(row[:-1]) for row in counts] == [row[-1] for row in counts]


def test_residuals(make_bundle: Make, random_events: Any) -> None:
    data = data_of(make_bundle(task=NUMBER), random_events)
    residual = data.scored.columns()["value"] - data.scored.truth
    (table,) = tables_of(regress.residuals(data))
    shown = dict(table.rows)
    assert shown["mean"] == words.signed(float(residual.mean()))
    assert shown["50% are below"] == words.signed(float(np.median(residual)))


def test_quality_along_a_session(make_bundle: Make, random_events: Any) -> None:
    """Where only the last event has a label, the earlier answers are measured against it too."""
    task = TaskSpec("regress", "delay", "session")
    bundle = make_bundle(task=task)
    data = data_of(bundle, random_events, [5] * 30)
    assert data.scored.known.sum() == 30
    early = data.early
    assert early.known.all()
    labels = np.asarray(data.table.labels)[4::5]
    assert np.array_equal(early.truth, labels.repeat(5))
    section = whole.position(data)
    assert section is not None
    by_number, by_share = (block for block in section.blocks if isinstance(block, Figure))
    points = by_number.chart.to_dict()["datasets"].values()
    groups = [point for values in points for point in values if "group" in point]
    assert [point["group"] for point in groups] == ["1", "2", "3 to 4", "5 to 8"]
    error = (early.numbers[::5, 0] - labels) ** 2
    assert groups[0]["value"] == pytest.approx(float(np.sqrt(error.mean())))
    assert "taken for all of its events" in by_number.caption
    assert "30 to 30" in by_share.caption


def test_the_page_of_a_tiny_model_has_every_section(make_bundle: Make, random_events: Any) -> None:
    data = data_of(make_bundle(), random_events)
    page = report.page_of(data)
    assert [section.title for section in page.sections] == [
        "Metrics",
        "Calibration",
        "Confusion",
        "Quality along a session",
        "Quality by segment",
        "What each field is worth",
        "Gates over a session",
        "Training",
        "The events",
        "Model card",
    ]
    found = checked(page)
    assert {"svg", "img", "table", "nav"} <= found.tags
    assert set(data.segments) == {"road", "wet"}  # the driver is always the same


@pytest.mark.parametrize(
    ("layers", "task"),
    [
        ((LayerSpec("lstm", 6),), NUMBER),
        ((LayerSpec("gru", 6, bidirectional=True),), THREE),
        ((LayerSpec("rnn", 6), LayerSpec("gru", 4)), THREE),
        ((LayerSpec("gru", 6),), TaskSpec("classify", "late", "session", classes=("no", "yes"))),
    ],
)
def test_pages_of_other_models(
    make_bundle: Make, random_events: Any, layers: tuple[LayerSpec, ...], task: TaskSpec
) -> None:
    page = report.page_of(data_of(make_bundle(layers, task=task), random_events))
    checked(page)
    assert len(page.sections) == (9 if task.name == "regress" else 10)


def test_rounded_weights_have_no_gates(make_bundle: Make, random_events: Any) -> None:
    data = data_of(make_bundle(), random_events, [3])
    rounded = replace(data, bundle=replace(data.bundle, precision="int8"))
    (block,) = model.gates(rounded).blocks
    assert "rounded" in block.text


def test_sessions_of_one_event(make_bundle: Make, random_events: Any) -> None:
    page = report.page_of(data_of(make_bundle(), random_events, [1] * 40))
    checked(page)
    (section,) = (part for part in page.sections if part.title == "Quality along a session")
    assert "no early and late" in section.blocks[0].text
    checked(report.page_of(data_of(make_bundle(), random_events, [1], seed=1)))


def test_one_class_only(make_bundle: Make, random_events: Any) -> None:
    """Without the AUC that training watched, the task's own metric takes its place."""
    bundle = make_bundle(provenance={"settings": {"train": {"watch": "auc"}}})
    table = reportable.table_of(bundle, random_events, LENGTHS)
    one = replace(table, labels=np.full(table.n_events, "no", dtype=object))
    data = report.ReportData.of(bundle, one)
    assert data.metric == "log_loss"
    assert report.ReportData.of(bundle, table).metric == "auc"
    checked(report.page_of(data))
    with pytest.raises(InputError, match="unknown_metric"):
        report.ReportData.of(bundle, one, metric="auc")


def test_events_without_any_label_are_refused(make_bundle: Make, random_events: Any) -> None:
    bundle = make_bundle()
    table = reportable.table_of(bundle, random_events, [5])
    for labels in (None, np.full(5, None, dtype=object)):
        with pytest.raises(InputError, match="no_labels"):
            report.make(bundle, replace(table, labels=labels))


def test_drift_is_told(make_bundle: Make, random_events: Any) -> None:
    bundle = make_bundle()
    steady = reportable.table_of(bundle, random_events, [50] * 20)
    moved = replace(steady, columns={**steady.columns, "speed": steady.columns["speed"] + 90.0})
    for table, finding in ((steady, "distributed as in training"), (moved, "training: speed")):
        section = events.profile(report.ReportData.of(bundle, table))
        assert finding in section.finding
    rows = {row[0]: row for row in tables_of(section)[0].rows}
    assert rows["speed"][-1] == "shifted"
    missing = np.isnan(steady.columns["speed"]).mean()
    assert rows["speed"][3] == words.percent(float(missing))


EVIL = "</svg></style><script>alert(1)</script><img src=http://evil.example/x onerror=a()>"


def hostile(make_bundle: Make) -> tuple[Bundle, EventTable]:
    """A bundle and events whose every name wants to be HTML, Markdown or an expression."""
    names = (EVIL, "![a](http://evil.example/a.png)", "a[0].b'c\"|d", "datum.x:Q\n# h")
    config = SchemaConfig(
        {
            names[0]: Field("category", constant=True),
            names[1]: Field("numeric", missing="zero"),
            names[2]: Field("boolean", missing="zero"),
            names[3]: Field("category"),
        }
    )
    rng = np.random.default_rng(0)
    n, offsets = 200, np.arange(0, 201, 10)
    columns = {
        names[0]: np.repeat(np.array([EVIL, "b"] * 10, dtype=object), 10),
        names[1]: rng.normal(size=n),
        names[2]: (rng.random(n) < 0.5) * 1.0,
        names[3]: rng.choice(np.array([f"{EVIL}{i}" for i in range(40)], dtype=object), n),
    }
    schema = Schema.fit(config, columns, np.zeros(n), offsets)
    task = TaskSpec("classify", EVIL, classes=(EVIL, "&amp;", "[x](javascript:alert(1))"))
    spec = ModelSpec(schema.width, (LayerSpec("gru", 4),), task.output_size, schema.categories)
    draw = {k: rng.normal(size=s).astype(np.float32) for k, s in spec.weight_shapes().items()}
    bundle = replace(
        make_bundle(),
        spec=spec,
        schema=schema,
        task=task,
        weights=draw,
        baseline=baseline.measure(config, columns, np.zeros(n), offsets, np.zeros(n)),
        vectors={},
        provenance={"metrics": {EVIL: {"n": 3, EVIL: 0.5}}, "data": {"file": EVIL}},
    )
    reference = offline.open(bundle, "reference", replay=False)
    bundle = replace(bundle, vectors=vectors.make(reference, bundle.baseline, 0))
    labels = rng.choice(np.array(task.classes, dtype=object), n)
    sessions = [f"{EVIL}{i}" for i in range(20)]
    return bundle, EventTable(sessions, offsets, np.zeros(n), columns, labels, np.arange(n))


def test_hostile_names(make_bundle: Make) -> None:
    bundle, table = hostile(make_bundle)
    segments = {**table.columns, "javascript:alert(1)": np.arange(200.0)}
    found = checked(report.make(bundle, table, segments=segments, source=EVIL))
    said = " ".join(found.words)
    assert EVIL in said
    assert "![a](http://evil.example/a.png)" in said
    assert "a[0].b'c\"|d" in said

"""A server that names the next items says what predicting offline says."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from tidegate import answers
from tidegate import bundle as bundles
from tidegate.bundle import Bundle
from tidegate.engine import offline, vectors
from tidegate.spec import ItemsSpec, TaskSpec

EVENTS = 12


@pytest.fixture
def saved(make_bundle: Callable[..., Bundle], tmp_path: Path) -> Path:
    """A bundle that names two of three roads."""
    roads = ("", *make_bundle().schema.vocabulary("road"))
    task = TaskSpec("next_item", "road", classes=roads, items=ItemsSpec(top=2))
    made = make_bundle(task=task)
    spec = msgspec.structs.replace(made.spec, readout="top", top=2)
    made.weights["head.bias"][0] = -1e4
    made = replace(made, spec=spec, vectors={})
    reference = offline.open(made, "reference", replay=False)
    made = replace(made, vectors=vectors.make(reference, made.baseline, seed=1))
    bundles.save(made, tmp_path / "roads")
    return tmp_path / "roads"


def sent(columns: dict[str, np.ndarray], at: int) -> dict[str, Any]:
    """An event of the table as the wire has it."""
    event = {name: column.tolist()[at] for name, column in columns.items()}
    event = {name: None if value != value else value for name, value in event.items()}
    return event | {"wet": None if event["wet"] is None else bool(event["wet"])}


def test_served_answers_are_those_of_predicting(
    saved: Path, start: Callable[..., Any], random_events: Callable[..., Any]
) -> None:
    columns = random_events(EVENTS, np.random.default_rng(3))
    times = 100.0 + np.arange(EVENTS)
    bundle = bundles.load(saved)
    outputs = offline.outputs(offline.open(bundle), columns, times, np.array([0, EVENTS]))
    expected = answers.open(bundle.task).answer(outputs)

    server = start(saved)
    events = [sent(columns, at) for at in range(EVENTS)]
    singly = [
        server.post("one", {"event": event, "time": float(time)})[1]["answer"]
        for event, time in zip(events, times, strict=True)
    ]
    assert singly == expected
    lines = [
        {"session": "bulk", "event": event, "time": float(time)}
        for event, time in zip(events, times, strict=True)
    ]
    status, answered = server.lines(lines)
    assert status == 200
    assert [answer["answer"] for answer in answered] == expected
    named = {item["item"] for answer in expected for item in answer["items"]}
    assert named <= {"A1", "B2", "C3"}
    assert len({json.dumps(answer) for answer in expected}) > 1

    # A retry is answered from what was kept.
    again = {"event": events[-1], "time": float(times[-1]), "seq": EVENTS}
    status, answer = server.post("one", again)
    assert (status, answer["duplicate"], answer["answer"]) == (200, True, expected[-1])

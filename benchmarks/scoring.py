"""Events a second of `tidegate score`, from Parquet to Parquet, beside torch, event by event.

    .venv/bin/python benchmarks/scoring.py

One net of 16 numeric fields, a GRU of 64 units and a class of two, with the same weights.
"tidegate" is the whole verb: the bundle is loaded and replayed, the file read, its events brought
into order, typed, scaled, stepped, worded and written. "torch" is the loop that people write: for
each event its numbers become a tensor and are scaled, `GRUCell` and `Linear` step the state that a
dict keeps of its session, and the answer is a number of Python; its events are in memory already,
and what it answers is not written. Both have one thread, in turns; the figure is the median of the
rounds. Answers must agree. ``--out FILE`` writes the result as JSON, ``--profile`` shows where the
time of "tidegate" goes.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

os.environ["POLARS_MAX_THREADS"] = "1"  # before polars is imported

import cProfile
import pstats

import msgspec
import numpy as np
import polars as pl
import torch

from tidegate import bundle as bundles
from tidegate.bench import machine, results
from tidegate.bench.serving.model import FIELDS, make_bundle
from tidegate.cli import score
from tidegate.spec import TaskSpec

CLOSE = 1e-5
"""Probabilities of both differ by this at most."""


class Rate(msgspec.Struct, frozen=True):
    """Events a second: medians of the rounds, by the clock and of the processor's time."""

    events: int
    events_per_s: float
    events_per_cpu_s: float
    rounds: list[float]


class Scoring(msgspec.Struct, frozen=True):
    """What one run found; `ratio` is of the medians by the clock."""

    bench: str
    machine: results.Machine
    hidden_size: int
    fields: int
    sessions: int
    tidegate: Rate
    torch: Rate
    ratio: float
    ratio_cpu: float
    load_average: float


def main() -> None:
    """Measure, and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=500_000, help="of a round of tidegate")
    parser.add_argument("--torch-events", type=int, default=20_000)
    parser.add_argument("--session-length", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bundle = _bundle(folder / "bundle")
        frame = _events(options.events, options.session_length)
        frame.write_parquet(folder / "events.parquet")
        if options.profile:
            with cProfile.Profile() as profile:
                _score(folder)
            pstats.Stats(profile).sort_stats("tottime").print_stats(20)
            return
        found = _measure(folder, bundle, frame, options)
    print(msgspec.json.format(msgspec.json.encode(found), indent=1).decode())
    if options.out:
        results.save(options.out, found)


def _measure(
    folder: Path, bundle: bundles.Bundle, frame: pl.DataFrame, options: argparse.Namespace
) -> Scoring:
    events = frame.head(options.torch_events).rows(named=True)
    ours: list[tuple[float, float]] = []
    theirs: list[tuple[float, float]] = []
    for _ in range(options.rounds):
        ours.append(_timed(lambda: _score(folder))[1:])
        answers, *took = _timed(lambda: _loop(bundle, events))
        theirs.append((took[0], took[1]))
    said = pl.read_parquet(folder / "answers.parquet")["probabilities.yes"].to_numpy()
    furthest = float(np.abs(said[: len(answers)] - answers).max())
    if furthest > CLOSE:
        raise SystemExit(f"answers differ by {furthest}")
    tidegate, loop = _rate(len(frame), ours), _rate(len(events), theirs)
    return Scoring(
        bench="scoring",
        machine=machine.describe(("numpy", "polars", "torch")),
        hidden_size=bundle.spec.layers[0].hidden_size,
        fields=len(FIELDS),
        sessions=frame["session"].n_unique(),
        tidegate=tidegate,
        torch=loop,
        ratio=results.significant(tidegate.events_per_s / loop.events_per_s),
        ratio_cpu=results.significant(tidegate.events_per_cpu_s / loop.events_per_cpu_s),
        load_average=round(os.getloadavg()[1], 1),
    )


def _bundle(folder: Path) -> bundles.Bundle:
    task = TaskSpec("classify", "late", classes=("no", "yes"))
    columns = {"session": "session", "time": "time"}
    return bundles.save(replace(make_bundle(), task=task, provenance={"columns": columns}), folder)


def _events(n: int, length: int) -> pl.DataFrame:
    """Return events of many sessions, mixed as they would come: each second one of each session."""
    rng = np.random.default_rng(1)
    sessions = -(-n // length)
    who = np.concatenate([rng.permutation(sessions) for _ in range(length)])[:n]
    columns: dict[str, Any] = {name: rng.normal(0.0, 1.0, n) for name in FIELDS}
    return pl.DataFrame(
        {"session": [f"session-{i:07}" for i in who], "time": np.arange(n) * 0.5, **columns}
    )


def _score(folder: Path) -> None:
    score.command(folder / "bundle", folder / "events.parquet", folder / "answers.parquet")


def _loop(bundle: bundles.Bundle, events: list[dict[str, Any]]) -> list[float]:
    """Answer events one by one, as a service written in torch does."""
    weights = {name: torch.from_numpy(array.copy()) for name, array in bundle.weights.items()}
    cell = torch.nn.GRUCell(len(FIELDS), bundle.spec.layers[0].hidden_size)
    head = torch.nn.Linear(cell.hidden_size, 1)
    of_layer = "layers.0.forward."
    cell.load_state_dict(
        {
            "weight_ih": weights[of_layer + "input"],
            "weight_hh": weights[of_layer + "recurrent"],
            "bias_ih": weights[of_layer + "b_input"],
            "bias_hh": weights[of_layer + "b_recurrent"],
        }
    )
    head.load_state_dict({"weight": weights["head.weight"], "bias": weights["head.bias"]})
    statistics = [field["statistics"] for field in bundle.schema.to_dict()["fields"]]
    center, spread = (
        torch.tensor([each[name] for each in statistics]) for name in ("center", "spread")
    )
    states: dict[str, torch.Tensor] = {}
    answers = []
    with torch.inference_mode():
        nothing = torch.zeros(1, cell.hidden_size)
        for event in events:
            row = (torch.tensor([[event[name] for name in FIELDS]]) - center) / spread
            state = cell(row, states.get(event["session"], nothing))
            states[event["session"]] = state
            answers.append(torch.sigmoid(head(state)).item())
    return answers


def _timed(call: Callable[[], Any]) -> tuple[Any, float, float]:
    """Return what a call returns, and its seconds by the clock and of the processor."""
    clock, cpu = time.perf_counter(), time.process_time()
    found = call()
    return found, time.perf_counter() - clock, time.process_time() - cpu


def _rate(events: int, took: list[tuple[float, float]]) -> Rate:
    clocks, cpus = zip(*took, strict=True)
    return Rate(
        events,
        results.significant(events / median(clocks)),
        results.significant(events / median(cpus)),
        [results.significant(events / seconds) for seconds in clocks],
    )


if __name__ == "__main__":
    main()

"""The whole demo: ``make demo``, or ``python examples/flights/run.py --out build/demo``.

Makes a stream of events from the flights of 2013, trains on nine months of it, streams two more
through the real server while killing it twice, and checks every answer. Ends with 0 if all is well.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import baselines
import check
import models
import msgspec
import numpy as np
import plots
import polars as pl
import report
from events import event_table, read_tables, split_by_month
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from sklearn.metrics import roc_auc_score
from stream import Server, Streamed, shares, stream
from summary import Summary, failures, summarise

from tidegate.bundle import Bundle
from tidegate.data import datasets

# scikit-learn would count physical cores, and warn at length where it cannot (in a container, say).
os.environ.setdefault("LOKY_MAX_CPU_COUNT", str(os.cpu_count() or 1))

CLIENTS = 48
KILLS = 2
EXPECTED = {"sessions": 2_000, "flights": 55_403, "events": 163_539}
"""Of November and December: a check on what was made of the data."""


@dataclass(frozen=True)
class Demo:
    """Where things go, and who is told."""

    out: Path
    console: Console

    def stage(self, title: str) -> None:
        """Begin a stage."""
        self.console.rule(f"[bold]{title}", align="left")

    def progress(
        self, what: str, total: int, every: int = 1
    ) -> tuple[Progress, Callable[[], None]]:
        """Return a progress bar, and what moves it by one; it is told once in `every` times."""
        bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=self.console,
        )
        task, done = bar.add_task(what, total=total), 0

        def advance() -> None:
            nonlocal done
            done += 1
            if done % every == 0 or done == total:
                bar.update(task, completed=done)

        return bar, advance


def main() -> int:
    """Run the demo; return the process's exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("build/demo"), help="made anew")
    out = parser.parse_args().out
    try:
        return run(Demo(out, Console()))
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


def run(demo: Demo) -> int:
    """Run all stages."""
    began = time.perf_counter()
    out = demo.out
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)

    demo.stage("1 Events: every fact when it becomes known")
    events = make_events(demo)
    test = split_by_month(events)[2]
    config = models.config_for(out / "events.parquet", out / "bundle")

    demo.stage("2 Training: a GRU with memory, an LSTM, a GRU without")
    trained = models.train_models(config, events, demo.console)

    demo.stage("3 Baselines")
    scored = score_baselines(demo, events).join(
        models.scored(trained, config, test), on=["session", "seq"]
    )

    demo.stage(f"4 Stream: {test.height:,} events over HTTP, {CLIENTS} clients, {KILLS} kills")
    streamed = stream_events(demo, trained.bundle, test)

    demo.stage("5 Check: replay every answer, audit the store")
    table = models.read(config, test)
    replayed = check.replay(trained.bundle, table)
    compared = check.compare(table, replayed, streamed.journal.received)
    audited = check.audit(out / "store", trained.bundle, table, replayed)
    for problem in [
        *streamed.journal.continuity_errors[:10],
        *(f"{finding.session}: {finding.what}" for finding in [*compared.findings, *audited][:10]),
    ]:
        demo.console.print(problem, markup=False, style="red")

    scored = scored.join(_said(streamed), on=["session", "seq"], maintain_order="left")
    summary = summarise(
        events=test.height,
        sessions=test["session"].n_unique(),
        streamed=streamed,
        compared=compared,
        audited=audited,
        auc={name: float(roc_auc_score(scored["late"], scored[name])) for name in plots.LABELS},
        seconds=time.perf_counter() - began,
    )
    demo.stage("6 Report")
    write(demo, trained, summary, scored, streamed)
    wrong = failures(summary, KILLS, streamed.exit_status)
    report.print_summary(summary, wrong, demo.console)
    demo.console.print(f"report: {out / 'report.html'}", highlight=False)
    return 1 if wrong else 0


def make_events(demo: Demo) -> pl.DataFrame:
    """Fetch the flights, make the events and keep them for training."""
    folder = datasets.fetch("flights", progress=demo.console.print)
    events = event_table(*read_tables(folder))
    test = split_by_month(events)[2]
    made = {
        "sessions": test["session"].n_unique(),
        "flights": int((test["kind"] == "scheduled").sum()),
        "events": test.height,
    }
    if made != EXPECTED:
        raise RuntimeError(f"November and December should hold {EXPECTED}, not {made}")
    events.write_parquet(demo.out / "events.parquet")
    test.write_parquet(demo.out / "test.parquet")
    demo.console.print(
        "{:,} events; November and December: {:,} sessions, {:,} flights, {:,} events".format(
            events.height, *made.values()
        ),
        highlight=False,
    )
    return events


def score_baselines(demo: Demo, events: pl.DataFrame) -> pl.DataFrame:
    """Return the test questions with each baseline's probability of "late"."""
    train, valid, test = split_by_month(baselines.questions(events))
    everything = (*baselines.NO_HISTORY, *baselines.LAGS)

    def boosted(features: tuple[str, ...]) -> np.ndarray:
        return baselines.gradient_boosting(train, valid, test, features)

    fits: dict[str, Callable[[], np.ndarray]] = {
        "last_outcome": lambda: baselines.last_outcome(test),
        "logistic_no_history": lambda: baselines.logistic(train, test),
        "gradient_boosting_no_history": lambda: boosted(baselines.NO_HISTORY),
        "gradient_boosting_with_lags": lambda: boosted(everything),
    }
    bar, advance = demo.progress("fitting", len(fits))
    scores = {}
    with bar:
        for name, fit in fits.items():
            scores[name] = fit()
            advance()
    return test.select("session", "seq", "origin", "day", "hour", "late").with_columns(
        pl.Series(name, values) for name, values in scores.items()
    )


def stream_events(demo: Demo, bundle: Bundle, test: pl.DataFrame) -> Streamed:
    """Stream the test months through a real server, killing it on the way."""
    assert bundle.path is not None
    server = Server(bundle.path, demo.out / "store", demo.out / "server.log")
    kill_after = [test.height * (k + 1) // (KILLS + 1) for k in range(KILLS)]
    bar, advance = demo.progress("answered", test.height, every=250)
    clients = shares(test, bundle.name, bundle.schema.names, CLIENTS)
    with bar:
        streamed = asyncio.run(stream(server, clients, kill_after=kill_after, progress=advance))
    for kill in streamed.kills:
        demo.console.print(
            f"kill -9 of process {kill.pid} after {kill.after_events:,} events: gone; "
            f"{kill.in_flight} requests in flight; answers again after "
            f"{kill.back - kill.at:.2f} s",
            highlight=False,
        )
    return streamed


def write(
    demo: Demo, trained: models.Models, summary: Summary, scored: pl.DataFrame, streamed: Streamed
) -> None:
    """Write ``summary.json``, ``report.html`` and ``report.png``."""
    encoded = msgspec.json.format(msgspec.json.encode(summary), indent=2)
    (demo.out / "summary.json").write_bytes(encoded + b"\n")
    received = streamed.journal.received
    traffic = plots.Traffic(
        at=np.array([answer.at for answer in received]) - streamed.began,
        latency=np.array([answer.latency for answer in received]),
        kills=[(k.at - streamed.began, k.back - streamed.began) for k in streamed.kills],
    )
    charts = {
        "auc": plots.auc_bars(summary.auc),
        "roc": plots.roc(scored, summary.auc),
        "one_day": plots.one_day(scored, *plots.eventful_day(scored)),
        "calibration": plots.calibration(scored["late"], scored["gru"]),
        "throughput": plots.throughput(traffic),
        "latency": plots.latency(traffic),
        "training": plots.training(trained.histories),
    }
    report.write_page(demo.out / "report.html", summary, charts)
    report.write_picture(demo.out / "report.png", charts)


def _said(streamed: Streamed) -> pl.DataFrame:
    """Return what the server answered: the GRU's probability of "late"."""
    received = streamed.journal.received
    answers = [msgspec.json.decode(answer.answer) for answer in received]
    return pl.DataFrame(
        {
            "session": [answer.session for answer in received],
            "seq": [answer.seq for answer in received],
            "gru": [answer["probabilities"]["late"] for answer in answers],
        }
    )


if __name__ == "__main__":
    sys.exit(main())

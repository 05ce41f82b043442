"""The numbers, the verdict on them, and the page."""

from __future__ import annotations

import io
import re
from datetime import date

import msgspec
import numpy as np
import plots
import polars as pl
import pytest
import report
from check import Compared, Finding
from client import Journal, Received
from rich.console import Console
from stream import Kill, Streamed
from summary import Summary, failures, summarise

from tidegate.train import Epoch

AUC = {
    "gru": 0.74,
    "gru_memory_reset": 0.67,
    "gru_trained_without_memory": 0.69,
    "lstm": 0.73,
    "logistic_no_history": 0.69,
    "gradient_boosting_no_history": 0.68,
    "gradient_boosting_with_lags": 0.75,
    "last_outcome": 0.58,
}


@pytest.fixture
def streamed() -> Streamed:
    received = [
        Received("s", seq, b"{}", at=100.0 + seq, latency=0.001 * seq, attempts=1, duplicate=False)
        for seq in (1, 2)
    ]
    again = Received("s", 3, b"{}", at=104.0, latency=0.010, attempts=2, duplicate=True)
    journal = Journal(received=[*received, again])
    kill = Kill(pid=1, after_events=2, in_flight=5, at=102.5, back=104.0)
    return Streamed(journal, began=100.0, ended=106.0, kills=[kill])


@pytest.fixture
def summary(streamed: Streamed) -> Summary:
    return summarise(
        events=3,
        sessions=1,
        streamed=streamed,
        compared=Compared(count=3),
        audited=[],
        auc=AUC,
        seconds=12.34,
    )


def test_the_summary_counts(summary):
    assert msgspec.to_builtins(summary) == {
        "events": 3,
        "sessions": 1,
        "kills": 1,
        "in_flight_at_kill": (5,),
        "retried": 1,
        "duplicates": 1,
        "continuity_errors": 0,
        "replay_compared": 3,
        "replay_mismatches": 0,
        "http_p50_ms": 2.0,
        "http_p99_ms": pytest.approx(9.84),
        "events_per_s": 0.5,
        "seconds": 12.3,
        "auc": AUC,
    }
    assert failures(summary, kills=1, exit_status=0) == []


def test_what_is_missing_or_damaged_is_a_continuity_error(streamed):
    streamed.journal.continuity_errors.append("s seq 4: status 409")
    counted = summarise(
        events=5,
        sessions=2,
        streamed=streamed,
        compared=Compared(3, [Finding("s", "differs")]),
        audited=[Finding("t", "damaged")],
        auc=AUC,
        seconds=1.0,
    )
    assert counted.continuity_errors == 2 + 1  # two events without an answer, and a record
    assert counted.replay_mismatches == 1


@pytest.mark.parametrize(
    ("changed", "kills", "status", "what"),
    [
        ({"continuity_errors": 2}, 1, 0, "2 continuity errors"),
        ({"replay_mismatches": 1}, 1, 0, "1 answers differ"),
        ({"replay_compared": 2}, 1, 0, "2 of 3 answers"),
        ({}, 2, 0, "1 kills, not 2"),
        ({"in_flight_at_kill": (0,)}, 1, 0, "a kill met no request"),
        ({}, 1, 7, "status 7"),
        ({"auc": AUC | {"gru_memory_reset": 0.73}}, 1, 0, "worth less than"),
        ({"auc": AUC | {"logistic_no_history": 0.74}}, 1, 0, "logistic_no_history is as good"),
    ],
)
def test_each_failure_is_named(summary, changed, kills, status, what):
    (failure,) = failures(msgspec.structs.replace(summary, **changed), kills, status)
    assert what in failure


@pytest.fixture(scope="module")
def scored() -> pl.DataFrame:
    rng = np.random.default_rng(0)
    n = 900
    late = rng.random(n) < np.repeat([0.3, 0.5, 0.1], n // 3)
    said = {name: np.clip(0.5 * late + 0.5 * rng.random(n), 0, 1) for name in plots.LABELS}
    return pl.DataFrame(
        {
            "origin": ["JFK"] * n,
            "day": np.repeat([date(2013, 11, day) for day in (1, 2, 3)], n // 3).tolist(),
            "hour": rng.uniform(6, 23, n),
            "late": late,
            **said,
        }
    )


def test_the_eventful_day_is_the_one_that_went_half_wrong(scored):
    assert plots.eventful_day(scored) == ("JFK", date(2013, 11, 2))


def test_the_page_needs_no_network_and_the_picture_is_one(scored, summary, tmp_path):
    rng = np.random.default_rng(0)
    traffic = plots.Traffic(np.sort(rng.uniform(0, 9, 500)), rng.exponential(0.01, 500), [(3, 4)])
    epochs = [Epoch(k, 0.5, 0.4, {"auc": 0.7}, 1.0, 2.0, 0.1, 9, 9.0, 1.0) for k in (1, 2)]
    charts = {
        "auc": plots.auc_bars(AUC),
        "roc": plots.roc(scored, AUC),
        "one_day": plots.one_day(scored, *plots.eventful_day(scored)),
        "calibration": plots.calibration(scored["late"], scored["gru"]),
        "throughput": plots.throughput(traffic),
        "latency": plots.latency(traffic),
        "training": plots.training({"GRU": epochs, "LSTM": epochs}),
    }
    report.write_page(tmp_path / "report.html", summary, charts)
    page = (tmp_path / "report.html").read_text()
    assert page.count("vegaEmbed(") >= len(charts)
    markup = re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL)
    assert re.findall(r"(?:src|href)=|url\(|<script", markup) == []
    report.write_picture(tmp_path / "report.png", charts)
    assert (tmp_path / "report.png").read_bytes().startswith(b"\x89PNG\r\n")


def test_the_terminal_says_what_won_and_what_failed(summary):
    console = Console(record=True, width=100, file=io.StringIO())
    report.print_summary(summary, ["2 continuity errors"], console)
    text = console.export_text()
    assert text.index("Boosting, hand-made lags") < text.index("GRU ")
    assert "failed: 2 continuity errors" in text

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tidegate.metrics import (
    CONTINUITY_KINDS,
    OUTCOMES,
    REFUSALS,
    REORDERS,
    TRANSPORTS,
    GateMetrics,
    StoreFigures,
)


def samples(metrics: GateMetrics) -> dict[tuple[str, ...], float]:
    return {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(metrics.render().decode())
        for sample in family.samples
    }


@pytest.fixture
def metrics() -> GateMetrics:
    return GateMetrics("1.2.3", {"late": "7"})


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_every_outcome_has_a_counter(metrics: GateMetrics, outcome: str) -> None:
    assert samples(metrics)["tidegate_events_total", *sorted(("late", outcome))] == 0
    metrics.count_event("late", outcome, 3)
    assert samples(metrics)["tidegate_events_total", *sorted(("late", outcome))] == 3


@pytest.mark.parametrize("kind", CONTINUITY_KINDS)
def test_every_kind_has_a_counter(metrics: GateMetrics, kind: str) -> None:
    metrics.count_continuity("late", kind)
    assert samples(metrics)["tidegate_continuity_errors_total", *sorted(("late", kind))] == 1


@pytest.mark.parametrize("code", REFUSALS)
def test_every_refusal_has_a_counter(metrics: GateMetrics, code: str) -> None:
    assert samples(metrics)["tidegate_requests_refused_total", code] == 0
    metrics.count_refused(code)
    assert samples(metrics)["tidegate_requests_refused_total", code] == 1


@pytest.mark.parametrize(("model", "outcome"), [("early", "answered"), ("late", "'; drop")])
def test_labels_are_bounded(metrics: GateMetrics, model: str, outcome: str) -> None:
    with pytest.raises(KeyError):
        metrics.count_event(model, outcome)
    with pytest.raises(KeyError):
        metrics.count_refused(outcome)


TIMES = ("queue", "step", "write", "sync", "commit", "loop_stall")


@pytest.mark.parametrize("name", TIMES)
def test_times_are_told_from_1_us_to_10_s(metrics: GateMetrics, name: str) -> None:
    attribute = name.removeprefix("loop_") + "_seconds"
    for seconds in (5e-7, 5.0, 50.0):
        getattr(metrics, attribute).observe(seconds)
    found = samples(metrics)
    assert found[f"tidegate_{name}_seconds_bucket", "1e-06"] == 1
    assert found[f"tidegate_{name}_seconds_bucket", "10.0"] == 2
    assert found[f"tidegate_{name}_seconds_bucket", "+Inf"] == 3
    assert found[f"tidegate_{name}_seconds_count",] == 3
    assert found[f"tidegate_{name}_seconds_sum",] == pytest.approx(55.0)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_requests_and_events_are_told_by_transport(metrics: GateMetrics, transport: str) -> None:
    metrics.count_received(transport, 5)
    metrics.request_seconds[transport].observe(0.5)
    found = samples(metrics)
    for other in TRANSPORTS:
        mine = other == transport
        assert found["tidegate_received_events_total", other] == 5 * mine
        assert found["tidegate_request_seconds_count", other] == mine
    with pytest.raises(KeyError):
        metrics.count_received("carrier pigeon")


@pytest.mark.parametrize("outcome", REORDERS)
def test_every_reordering_has_a_counter(metrics: GateMetrics, outcome: str) -> None:
    metrics.count_reordered(outcome)
    assert samples(metrics)["tidegate_reordered_events_total", outcome] == 1


def test_the_stores_figures_are_asked_for_at_each_look(metrics: GateMetrics) -> None:
    assert ("tidegate_store_bytes",) not in samples(metrics)
    cuts = iter((7, 8))
    metrics.ask_store = lambda: StoreFigures(300, 100, 2, next(cuts), 50, 74)
    found = samples(metrics)
    assert found["tidegate_store_bytes",] == 300
    assert found["tidegate_store_live_bytes",] == 100
    assert found["tidegate_store_segments",] == 2
    assert found["tidegate_store_records",] == 50
    assert found["tidegate_store_cut_error",] == 74
    assert found["tidegate_store_cuts_total",] == 7
    assert samples(metrics)["tidegate_store_cuts_total",] == 8


def test_memory_is_told_beside_its_bound(metrics: GateMetrics) -> None:
    held = bytearray(64 * 1024 * 1024)
    for i in range(0, len(held), 4096):
        held[i] = 1
    found = samples(GateMetrics("1", {}, memory_bound=10**9))
    assert found["tidegate_memory_bytes",] >= len(held)
    assert found["tidegate_memory_bound_bytes",] == 10**9
    assert ("tidegate_memory_bound_bytes",) not in samples(metrics)


def test_what_is_shown_is_what_prometheus_takes(metrics: GateMetrics, tmp_path: Path) -> None:
    metrics.ask_store = StoreFigures
    shown = metrics.render()
    promtool = shutil.which("promtool")
    if promtool is None:
        print("no promtool here (Debian: prometheus): its rules alone are checked")  # noqa: T201
    else:
        done = subprocess.run([promtool, "check", "metrics"], input=shown, capture_output=True)
        assert (done.returncode, done.stdout + done.stderr) == (0, b"")
    for family in text_string_to_metric_families(shown.decode()):
        assert family.documentation, family.name
        assert not family.name.endswith(("_count", "_sum", "_bucket", "_milliseconds", "_mb"))
        for sample in family.samples:
            assert sample.name.endswith("_total") == (family.type == "counter"), sample.name


def test_a_metric_is_told_once(metrics: GateMetrics) -> None:
    metrics.ask_store = StoreFigures
    metrics.watch_port(8080)
    names = [family.name for family in metrics.families()]
    assert len(names) == len(set(names)) > 30


def test_a_server_begins_without_the_library_that_tells_them() -> None:
    """It is a tenth of a server's start, and nobody asks before that."""
    code = """
import sys
from tidegate.metrics import GateMetrics
metrics = GateMetrics("1", {"late": "7"})
metrics.count_event("late", "answered")
assert "prometheus_client" not in sys.modules
assert b'tidegate_events_total{model="late",outcome="answered"} 1.0' in metrics.render()
assert metrics.content_type.startswith("text/plain")
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_build_is_told(metrics: GateMetrics) -> None:
    assert samples(metrics)["tidegate_build_info", "1.2.3", "7", "late"] == 1


def test_two_servers_do_not_share_a_registry(metrics: GateMetrics) -> None:
    other = GateMetrics("1.2.3", {"late": "7"})
    metrics.count_event("late", "answered")
    assert samples(other)["tidegate_events_total", "answered", "late"] == 0

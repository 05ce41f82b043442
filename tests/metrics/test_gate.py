from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tidegate.metrics import CONTINUITY_KINDS, OUTCOMES, REFUSALS, GateMetrics


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


def test_times_are_told_from_10_us_to_10_s(metrics: GateMetrics) -> None:
    for seconds in (5e-6, 5.0, 50.0):
        metrics.commit_seconds.observe(seconds)
    found = samples(metrics)
    assert found["tidegate_commit_seconds_bucket", "1e-05"] == 1
    assert found["tidegate_commit_seconds_bucket", "10.0"] == 2
    assert found["tidegate_commit_seconds_count",] == 3


def test_the_build_is_told(metrics: GateMetrics) -> None:
    assert samples(metrics)["tidegate_build_info", "1.2.3", "7", "late"] == 1


def test_two_servers_do_not_share_a_registry(metrics: GateMetrics) -> None:
    other = GateMetrics("1.2.3", {"late": "7"})
    metrics.count_event("late", "answered")
    assert samples(other)["tidegate_events_total", "answered", "late"] == 0

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram

from tidegate.metrics.instruments import SECONDS, Distribution

values = st.lists(st.floats(0, 100) | st.sampled_from(SECONDS))


@settings(deadline=None, max_examples=50)
@given(values, st.integers(0, 10))
def test_it_counts_as_prometheus_own_histogram_does(seen: list[float], split: int) -> None:
    oracle = Histogram("x", "x", buckets=SECONDS, registry=CollectorRegistry())
    ours = Distribution()
    for value in seen[:split]:
        ours.observe(value)
    ours.observe_many(iter(seen[split:]))
    for value in seen:
        oracle.observe(value)
    (family,) = oracle.collect()
    wanted = [(s.labels["le"], s.value) for s in family.samples if s.name == "x_bucket"]
    assert ours.buckets() == wanted
    (total,) = (s.value for s in family.samples if s.name == "x_sum")
    assert abs(ours.total - total) <= 1e-9 * max(total, 1.0)


def test_the_bounds_are_three_a_decade_from_1_us_to_10_s() -> None:
    assert (SECONDS[0], SECONDS[-1], len(SECONDS)) == (1e-6, 10.0, 22)
    assert list(SECONDS) == sorted(set(SECONDS))

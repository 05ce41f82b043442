"""Inputs that nobody should have made; `make check` draws many more of them under sanitizers."""

from __future__ import annotations

from pathlib import Path
from random import Random

from fuzz import BundleTarget, ModelTarget
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

some = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@some
@given(st.randoms(use_true_random=False))
def test_a_bundle_works_or_is_refused(saved_bundle: Path, tmp_path: Path, random: Random) -> None:
    BundleTarget(saved_bundle, tmp_path)(random)


@some
@given(st.randoms(use_true_random=False))
def test_a_model_works_or_is_refused(random: Random) -> None:
    ModelTarget()(random)


def test_an_unspoiled_model_works() -> None:
    """Most inputs of the target are right: else it would only see the first refusal."""
    found = [ModelTarget()(Random(seed)) for seed in range(60)]
    assert found.count("works") > 20

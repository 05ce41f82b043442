"""Inputs that nobody should have made; `make check` draws many more of them under sanitizers."""

from __future__ import annotations

from random import Random

import pytest
from fuzz import CALLS, BundleTarget, LogTarget
from fuzz_calls import Calls
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

some = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture(scope="module")
def spoiled_bundle(make_bundle, tmp_path_factory: pytest.TempPathFactory) -> BundleTarget:
    return BundleTarget(make_bundle(), tmp_path_factory.mktemp("fuzz"))


@some
@given(st.randoms(use_true_random=False))
def test_a_bundle_works_or_is_refused(spoiled_bundle: BundleTarget, random: Random) -> None:
    spoiled_bundle(random)


@pytest.mark.parametrize("calls", CALLS.values(), ids=CALLS.keys())
@some
@given(random=st.randoms(use_true_random=False))
def test_a_call_works_or_is_refused(calls: type[Calls], random: Random) -> None:
    calls()(random)


@pytest.fixture(scope="module")
def spoiled_log(tmp_path_factory: pytest.TempPathFactory) -> LogTarget:
    return LogTarget(tmp_path_factory.mktemp("fuzz"))


@some
@given(st.randoms(use_true_random=False))
def test_a_store_works_or_is_refused(spoiled_log: LogTarget, random: Random) -> None:
    spoiled_log(random)


@pytest.mark.parametrize("calls", CALLS.values(), ids=CALLS.keys())
def test_many_calls_work(calls: type[Calls]) -> None:
    """Many inputs of the target are right: else it would only see the first refusal."""
    found = [calls()(Random(seed)) for seed in range(60)]
    assert found.count("works") > 20

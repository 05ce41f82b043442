"""What all tests share."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from readouts import with_readout

from tidegate import bundle as bundles
from tidegate import core
from tidegate.bundle import Bundle, baseline
from tidegate.engine import offline, vectors
from tidegate.schema import Columns, Field, Schema, SchemaConfig, Time
from tidegate.spec import LayerSpec, ModelSpec, TaskSpec


def pytest_configure() -> None:
    """Let Ctrl-C arrive: what a shell starts in the background, and its children, ignore it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_sessionfinish(session: pytest.Session) -> Iterator[None]:
    """A skipped test fails the run: nothing is left out unseen."""
    yield
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = reporter.stats.get("skipped", []) if reporter else []
    if skipped and session.exitstatus == pytest.ExitCode.OK:
        reporter.write_line(f"error: {len(skipped)} tests were skipped", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


SMALL_CONFIG = SchemaConfig(
    {
        "speed": Field("numeric", missing="carry", indicator=True),
        "load": Field("numeric", scale="log1p", missing="zero"),
        "road": Field("category", missing="carry"),
        "wet": Field("boolean", missing="mean"),
        "driver": Field("category", constant=True),
    },
    Time(("delta", "hour")),
)
"""Every kind of field, as the tests of the upper floors need it."""


def random_columns(n: int, rng: np.random.Generator) -> Columns:
    """Columns of `SMALL_CONFIG`, with values missing where they may be."""

    def some(values: np.ndarray, absent: Any) -> np.ndarray:
        return np.where(rng.random(n) < 0.2, absent, values)

    return {
        "speed": some(rng.normal(60.0, 20.0, n), np.nan),
        "load": some(rng.exponential(100.0, n), np.nan),
        "road": some(rng.choice(["A1", "B2", "C3"], n).astype(object), None),
        "wet": some((rng.random(n) < 0.3).astype(np.float64), np.nan),
        "driver": np.array(["ann"] * n, dtype=object),
    }


def small_schema() -> Schema:
    rng = np.random.default_rng(7)
    offsets = np.arange(0, 401, 20)
    return Schema.fit(SMALL_CONFIG, random_columns(400, rng), np.arange(400.0) * 30, offsets)


def random_weights(spec: ModelSpec, seed: int) -> dict[str, np.ndarray]:
    """Weights of a size that keeps a network lively."""
    rng = np.random.default_rng(seed)
    return {
        name: rng.normal(0.0, 1.0 / np.sqrt(shape[-1]), shape).astype(np.float32)
        for name, shape in spec.weight_shapes().items()
    }


def small_bundle(
    layers: tuple[LayerSpec, ...] = (LayerSpec("gru", 12),),
    *,
    seed: int = 0,
    readout: str = "",
    **changed: Any,
) -> Bundle:
    """A bundle of random weights, with everything that a trained one has; not on disk yet.

    With a `readout` its outputs are no task's: it cannot be loaded from disk.
    """
    schema = small_schema()
    task = changed.pop("task", TaskSpec("classify", "late", classes=("no", "yes")))
    spec = ModelSpec(schema.width, layers, task.output_size, schema.categories)
    spec = with_readout(spec, readout) if readout else spec
    weights = random_weights(spec, seed)
    rng = np.random.default_rng(seed)
    measured = baseline.measure(
        SMALL_CONFIG,
        random_columns(100, rng),
        np.arange(100.0) * 30,
        np.array([0, 50, 100]),
        rng.random(100),
    )
    unfinished = Bundle("small", "1", spec, schema, task, weights, measured, {})
    made = vectors.make(offline.open(unfinished, "reference", replay=False), measured, seed)
    members = {
        "name": "small",
        "version": "1",
        "provenance": {"columns": {"session": "session", "time": "time"}},
        **changed,
    }
    return Bundle(
        spec=spec,
        schema=schema,
        task=task,
        weights=weights,
        baseline=measured,
        vectors=made,
        **members,
    )


@pytest.fixture(scope="session")
def make_bundle() -> Callable[..., Bundle]:
    """`small_bundle`, for tests that need bundles of their own."""
    return small_bundle


@pytest.fixture(scope="session")
def saved_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle's folder. Read only: tests that change one copy it first."""
    path = tmp_path_factory.mktemp("bundle") / "small"
    bundles.save(small_bundle(), path)
    return path


@pytest.fixture(scope="session")
def random_events() -> Callable[[int, np.random.Generator], Columns]:
    """`random_columns`: typed events for the schema of the small bundles."""
    return random_columns


@pytest.fixture
def isa_of_the_machine() -> Iterator[None]:
    """Whatever set a test uses, the next one finds the one it had."""
    before = core.isa()
    yield
    core.use_isa(before)

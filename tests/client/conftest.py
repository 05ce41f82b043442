"""A server to talk to, and what its model answers without it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gate import Between, Gate

from tidegate import answers, bundle
from tidegate.engine import Engine

EVENT = {"speed": 50.0, "load": 3.0, "road": "A1", "wet": True, "driver": "ann"}


@pytest.fixture(scope="module")
def gate(saved_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gate]:
    running = Gate(saved_bundle, tmp_path_factory.mktemp("store"))
    yield running
    running.close()


@pytest.fixture
def between() -> Iterator[Callable[..., Between]]:
    made = []

    def make(port: int, behave: Callable[[int], Any]) -> Between:
        made.append(Between(port, behave))
        return made[-1]

    yield make
    for proxy in made:
        proxy.shutdown()
        proxy.server_close()


@pytest.fixture(scope="session")
def event() -> Callable[..., dict[str, Any]]:
    def make(speed: float = 50.0, **changed: Any) -> dict[str, Any]:
        return {**EVENT, "speed": speed, **changed}

    return make


@pytest.fixture(scope="session")
def replay(saved_bundle: Path) -> Callable[[Any, Any], list[Any]]:
    """What the model answers to the events of one session, without any server."""
    loaded = bundle.load(saved_bundle)
    words = answers.open(loaded.task)

    def answer(events: Any, times: Any) -> list[Any]:
        engine = Engine.open(loaded, replay=False)
        columns = loaded.schema.stack([loaded.schema.type_event(event) for event in events])
        names = ["one"] * len(events)
        return words.answer(engine.step_events(names, columns, np.array(times)).outputs)

    return answer

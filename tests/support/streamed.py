"""What a server would answer, event by event: the oracle of what estimators predict."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tidegate import answers
from tidegate import bundle as bundles
from tidegate.engine import Engine

__all__ = ["streamed"]


def streamed(
    folder: Path, events: Iterable[Mapping[str, Any]], times: Iterable[float] | None = None
) -> list[dict[str, Any]]:
    """Return the answers of a bundle to the events of one session."""
    bundle = bundles.load(folder)
    engine, words = Engine.open(bundle), answers.open(bundle.task)
    events = list(events)
    found = []
    for event, time in zip(events, times or [0.0] * len(events), strict=True):
        typed = bundle.schema.stack([bundle.schema.type_event(dict(event))])
        stepped = engine.step_events(["session"], typed, np.array([time]))
        assert not stepped.errors
        found += words.answer(stepped.outputs)
    return found

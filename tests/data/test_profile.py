"""Length profiles: their numbers, and how they print."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tidegate.data.profile import LengthProfile
from tidegate.errors import InputError


def test_numbers() -> None:
    profile = LengthProfile.of(np.random.default_rng(0).permutation(np.arange(1, 101)))
    assert json.loads(json.dumps(profile.to_dict())) == {
        "sessions": 100,
        "events": 5050,
        "min": 1,
        "mean": 50.5,
        "median": 50.5,
        "p95": 95,
        "max": 100,
    }


def test_one_session() -> None:
    assert str(LengthProfile.of([1234567])) == (
        "1 sessions, 1,234,567 events; events a session: min 1,234,567, mean 1,234,567.0, "
        "median 1,234,567.0, p95 1,234,567, max 1,234,567"
    )


def test_no_session() -> None:
    with pytest.raises(InputError) as caught:
        LengthProfile.of([])
    assert caught.value.code == "no_events"

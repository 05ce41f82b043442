from __future__ import annotations

import pytest

from tidegate.errors import InputError
from tidegate.serve import ServeSettings


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("port", 65_536),
        ("port", -1),
        ("kept_answers", 0),
        ("body_bytes", 0),
        ("queue_events", 0),
        ("batch_events", 0),
        ("cached_sessions", 0),
        ("tombstone_hours", -1.0),
        ("grace_seconds", float("nan")),
        ("on_new_model", "ignore"),
    ],
)
def test_settings_are_checked_by_name(name, value):
    with pytest.raises(InputError) as refused:
        ServeSettings(store="memory:", **{name: value})
    assert (refused.value.code, refused.value.field) == ("bad_setting", name)
    assert str(value) in refused.value.message

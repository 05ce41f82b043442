"""Settings: checked by name."""

from __future__ import annotations

import pytest

from tidegate.errors import InputError
from tidegate.serve.config import ServeSettings, about


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("port", 65_536),
        ("port", -1),
        ("port", True),
        ("port", 80.5),
        ("kept_answers", 0),
        ("body_bytes", 0),
        ("line_bytes", 1),
        ("queue_events", 0),
        ("batch_events", 0),
        ("cached_sessions", 0),
        ("tombstone_hours", -1.0),
        ("grace_seconds", float("nan")),
        ("body_seconds", float("inf")),
        ("store_space", 1.0),
        ("on_new_model", "ignore"),
        ("commit", "never"),
        ("log_level", "loud"),
        ("insecure", "yes"),
        ("host", 7),
    ],
)
def test_settings_are_checked_by_name(name, value):
    with pytest.raises(InputError) as refused:
        ServeSettings(store="memory:", **{name: value})
    assert (refused.value.code, refused.value.field) == ("bad_setting", name)
    assert str(value) in refused.value.message


@pytest.mark.parametrize(
    ("field", "others"),
    [
        ("tls_key", {"tls_cert": "cert.pem"}),
        ("tls_cert", {"tls_key": "key.pem"}),
        ("body_bytes", {"body_bytes": 2**21, "max_body_memory_mb": 1}),
        ("batch_events", {"batch_events": 64, "queue_events": 63}),
    ],
)
def test_settings_that_do_not_go_together_are_refused(field, others):
    with pytest.raises(InputError) as refused:
        ServeSettings(store="memory:", **others)
    assert refused.value.field == field
    assert set(others) - {field} <= set(refused.value.hint.replace(":", " ").split()) | {field}


def test_every_default_is_allowed_and_every_number_has_bounds():
    ServeSettings(store="memory:")
    for name, (kind, _, said) in about().items():
        assert said.meaning.endswith("."), name
        if kind in (int, float):
            assert said.least < said.most < float("inf"), name


def test_a_number_may_have_either_of_its_bounds():
    bound_by_others = ("body_bytes", "max_body_memory_mb", "batch_events", "queue_events")
    for name, (kind, _, said) in about().items():
        if kind in (int, float) and name not in bound_by_others:
            for value in (said.least, said.most):
                assert getattr(ServeSettings(store="memory:", **{name: value}), name) == value

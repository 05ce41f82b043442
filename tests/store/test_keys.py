"""Keys are told apart, and go back to what they were made of."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.errors import InputError
from tidegate.store import meta_key, session_key, session_prefix, split_session_key

text = st.text(max_size=8)
names = st.text(st.characters(exclude_characters="\0", codec="utf-8"), min_size=1, max_size=4)


@given(names, names, text)
def test_a_key_goes_back_to_its_session(tenant: str, model: str, session: str) -> None:
    key = session_key(tenant, model, session)
    assert split_session_key(key) == (tenant, model, session)
    assert key.startswith(session_prefix(tenant, model))


@given(st.lists(st.tuples(names, names, text), min_size=2, max_size=2, unique=True))
def test_sessions_have_keys_of_their_own(pair: list[tuple[str, str, str]]) -> None:
    first, second = pair
    assert session_key(*first) != session_key(*second)
    same_model = first[:2] == second[:2]
    assert session_key(*first).startswith(session_prefix(*second[:2])) == same_model


@given(names, names, text, names, text)
def test_kinds_of_keys_never_meet(
    tenant: str, model: str, session: str, name: str, subject: str
) -> None:
    key, meta = session_key(tenant, model, session), meta_key(name, subject)
    assert key != meta
    assert not meta.startswith(session_prefix(tenant, model))
    with pytest.raises(InputError, match="not the key of a session"):
        split_session_key(meta)


def test_sessions_of_a_model_sort_by_their_ids() -> None:
    ids = ["", "a", "a/b", "a\0b", "b", "é", "🌊"]
    keys = [session_key("default", "m", session) for session in ids]
    in_order = sorted(ids, key=str.encode)
    assert [split_session_key(key)[2] for key in sorted(keys)] == in_order


@pytest.mark.parametrize(
    ("parts", "field"),
    [
        (("", "m", "s"), "tenant"),
        (("t\0", "m", "s"), "tenant"),
        (("t", "", "s"), "model"),
        (("t", "m\0n", "s"), "model"),
        (("t", "\ud800", "s"), "model"),
        (("t", "m", "\ud800"), "session"),
    ],
)
def test_names_that_make_no_key(parts: tuple[str, str, str], field: str) -> None:
    with pytest.raises(InputError) as caught:
        session_key(*parts)
    assert (caught.value.code, caught.value.field) == ("bad_key", field)


@pytest.mark.parametrize("key", [b"", b"s", b"st\0m", b"mt\0m\0s", b"st\0m\0\xff"])
def test_keys_of_no_session(key: bytes) -> None:
    with pytest.raises(InputError) as caught:
        split_session_key(key)
    assert caught.value.code == "bad_key"

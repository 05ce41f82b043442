"""Records of many sessions at once: the codec's bytes and refusals, and the engine's memory."""

from __future__ import annotations

import struct

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate import record
from tidegate.core import crc32c
from tidegate.engine import Engine, SessionState
from tidegate.errors import InputError, RecordError
from tidegate.record import Record, StoredAnswer
from tidegate.spec import LayerSpec

OURS = b"u" * 32
NOTHING = (np.empty(0), np.empty(0, dtype=np.float32))

u64 = st.integers(0, 2**64 - 1)
small_bytes = st.binary(max_size=40)
heads = st.builds(
    Record,
    status=st.sampled_from(["live", "ended", "deleted", "expired"]),
    fingerprint=st.just(OURS),
    model_version=st.sampled_from(["1", "2", "näin"]),
    seq=u64,
    time=st.floats(),
    created=st.floats(),
    updated=st.floats(),
    encoder=st.just(NOTHING[0]),
    hidden=st.just(NOTHING[1]),
    answer_state=small_bytes,
    answers=st.lists(
        st.builds(
            StoredAnswer, u64, u64, st.floats(), small_bytes, st.text(max_size=9), st.booleans()
        ),
        max_size=3,
    ).map(tuple),
    events=st.lists(small_bytes, max_size=3).map(tuple),
    unknown=st.lists(st.tuples(st.integers(9, 2**32 - 1), small_bytes), max_size=1).map(tuple),
)


@pytest.fixture(scope="module")
def ours(make_bundle):
    return Engine.open(make_bundle(fingerprint=OURS), replay=False)


@pytest.fixture
def engine(ours):
    return ours.fresh()


def live(**changed):
    head = Record("live", OURS, "1", 7, 60.0, 0.5, 61.0, *NOTHING)
    return msgspec.structs.replace(head, **changed)


def some_state(engine, seed):
    rng = np.random.default_rng(seed)
    hidden = rng.normal(size=engine.spec.state_size).astype(np.float32)
    return SessionState(rng.normal(size=engine.schema.state_size), hidden)


def whole(head, state):
    return msgspec.structs.replace(head, encoder=state.encoder, hidden=state.hidden)


def same(one, other):
    return (one.encoder.tobytes(), one.hidden.tobytes()) == (
        other.encoder.tobytes(),
        other.hidden.tobytes(),
    )


@settings(deadline=None, max_examples=60)
@given(batch=st.lists(heads, max_size=6))
def test_bytes_are_those_of_the_codec_both_ways(ours, batch):
    here, there = ours.fresh(), ours.fresh()
    names = [f"s{i}" for i in range(len(batch))]
    states = [some_state(here, i) for i in range(len(batch))]
    for name, state in zip(names, states, strict=True):
        here.import_state(name, state)
        there.import_state(name, some_state(there, 99))
    data = here.export_records(names, batch)
    wholes = [whole(head, state) for head, state in zip(batch, states, strict=True)]
    assert data == [record.encode(each) for each in wholes]
    imported = there.import_records(names, data)
    assert imported.errors == {}
    assert [record.encode(head) for head in imported.heads] == [
        record.encode(head) for head in batch
    ]
    for name, head, state in zip(names, batch, states, strict=True):
        assert (name in there) == (head.status == "live")
        assert name not in there or same(there.export_state(name), state)
    assert there.dirty() == []


@pytest.mark.parametrize("backend", ["native", "reference"])
def test_sessions_go_on_in_another_engine(make_bundle, random_events, backend):
    here = Engine.open(make_bundle(fingerprint=OURS), backend, replay=False)
    there, names = here.fresh(), [f"s{i}" for i in range(20)]
    columns, later = (random_events(20, np.random.default_rng(seed)) for seed in (0, 1))
    here.step_events(names, columns, np.zeros(20))
    there.import_records(names, here.export_records(names, [live()] * 20))
    outputs = [engine.step_events(names, later, np.ones(20)).outputs for engine in (here, there)]
    assert outputs[0].tobytes() == outputs[1].tobytes()


def changed_format(data):
    body = data[:4] + struct.pack("<H", record.FORMAT + 1) + data[6:-4]
    return body + struct.pack("<I", crc32c(body))


def test_what_does_not_fit_is_refused_by_name_and_the_rest_is_read(engine):
    state, before = some_state(engine, 0), some_state(engine, 1)
    good = record.encode(whole(live(), state))
    other = SessionState(state.encoder, np.zeros(5, dtype=np.float32))
    data = {
        "record_other_model": record.encode(whole(live(fingerprint=b"o" * 32), state)),
        "record_other_size": record.encode(whole(live(), other)),
        "record_version": changed_format(good),
        "record_checksum": good[:-1] + bytes([good[-1] ^ 1]),
        "record_truncated": good[:-1],
        "record_trailing": good + b"\0",
        "record_magic": b"x" + good[1:],
    }
    names = ["good", *data]
    for name in names[1:]:
        engine.import_state(name, before)
    imported = engine.import_records(names, [good, *data.values()])
    assert {names[i]: error.code for i, error in imported.errors.items()} == {
        name: name for name in data
    }
    assert same(engine.export_state("good"), state)
    for i, name in enumerate(data, start=1):
        assert same(engine.export_state(name), before)
        if imported.heads[i] is None:
            with pytest.raises(RecordError) as caught:
                record.decode(data[name])
            assert str(caught.value) == str(imported.errors[i])
    assert [names[i] for i, head in enumerate(imported.heads) if head] == names[:3]
    # The same errors where no session was there before: none begins.
    fresh = engine.fresh()
    fresh.import_records(names, [good, *data.values()])
    assert len(fresh) == 1


def test_a_model_of_another_cell_is_another_model(engine, make_bundle, random_events):
    """Also where its states have the same size."""
    lstm = make_bundle((LayerSpec("lstm", 6),), fingerprint=b"l" * 32)
    there = Engine.open(lstm, replay=False)
    assert there.spec.state_size == engine.spec.state_size
    there.step_events(["s"], random_events(1, np.random.default_rng(0)), np.zeros(1))
    data = there.export_records(["s"], [live(fingerprint=b"l" * 32)])
    assert engine.import_records(["s"], data).errors[0].code == "record_other_model"
    assert "s" not in engine


@pytest.mark.parametrize("stored", [NOTHING, None])
@pytest.mark.parametrize("fingerprint", [OURS, b"o" * 32])
def test_a_tombstone_forgets_its_session_whatever_it_holds(engine, stored, fingerprint):
    state = some_state(engine, 0)
    engine.import_state("s", state)
    head = live(status="expired", fingerprint=fingerprint)
    kept = SessionState(*stored) if stored else state
    imported = engine.import_records(["s"], [record.encode(whole(head, kept))])
    assert imported.errors == {}
    assert imported.heads[0].status == "expired"
    assert "s" not in engine


@pytest.mark.parametrize(
    ("sessions", "given_heads", "code"),
    [
        (["s", "who"], [live(), live()], "session_unknown"),
        (["s"], [], "wrong_shape"),
        (["s"], [live(fingerprint=b"o" * 32)], "record_other_model"),
        (["s"], [live(seq=-1)], "bad_record"),
        (["s"], [live(seq=2**64)], "bad_record"),
        (["s"], [live(status="asleep")], "bad_record"),
        (["s"], [live(model_version="\ud800")], "bad_record"),
        (["s"], [live(answers=(StoredAnswer(1, -1, 0.0, b""),))], "bad_record"),
        (["s"], [live(answers=(StoredAnswer(1, 1, 0.0, b"", "\ud800"),))], "bad_record"),
        (["s"], [live(unknown=((8, b""),))], "bad_record"),
        ([""], [live()], "bad_session_id"),
    ],
)
def test_what_cannot_be_written_is_refused(engine, sessions, given_heads, code):
    engine.import_state("s", some_state(engine, 0))
    with pytest.raises(InputError) as caught:
        engine.export_records(sessions, given_heads)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("sessions", "count", "code"),
    [
        (["s", "t"], 1, "wrong_shape"),
        (["t", "t"], 2, "repeated_session"),
        (["t", ""], 2, "bad_session_id"),
    ],
)
def test_what_cannot_be_read_at_all_is_refused_and_nothing_changes(engine, sessions, count, code):
    engine.import_state("s", some_state(engine, 0))
    data = engine.export_records(["s"], [live()]) * count
    engine.import_state("s", some_state(engine, 1))
    with pytest.raises(InputError) as caught:
        engine.import_records(sessions, data)
    assert caught.value.code == code
    assert "t" not in engine
    assert same(engine.export_state("s"), some_state(engine, 1))


def test_an_engine_of_a_bundle_that_was_never_saved_has_no_records(make_bundle):
    engine = Engine.open(make_bundle(), replay=False)
    for call in (engine.export_records, engine.import_records):
        with pytest.raises(InputError) as caught:
            call([], [])
        assert caught.value.code == "no_fingerprint"


def test_a_cached_session_takes_less_than_its_record(make_bundle):
    """At every size, also while the index grows (at 3/4 of 65,536), and whatever is padded most."""
    engine = Engine.open(make_bundle((LayerSpec("gru", 17),), fingerprint=OURS), replay=False)
    rows = np.zeros((1000, engine.spec.row_size), dtype=np.float32)
    names = [f"{i:08}-0000-4000-8000-{i:012}" for i in range(50_000)]
    per_session = []
    for first in range(0, len(names), 1000):
        engine.step(names[first : first + 1000], rows)
        per_session.append(engine.nbytes / len(engine))
    [smallest] = engine.export_records(names[:1], [live()])
    assert len(engine) == len(names)
    assert max(per_session) < len(smallest)  # + 64 is the goal

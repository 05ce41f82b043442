"""One contract for every engine; truth is the reference."""

from __future__ import annotations

import dataclasses
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_models import random_weights
from readouts import READOUTS

from tidegate import core, record
from tidegate.engine import Engine, SessionState, offline
from tidegate.engine.arithmetic import PlainArithmetic
from tidegate.engine.native import NativeArithmetic
from tidegate.engine.reference import ReferenceModel
from tidegate.errors import EngineError, InputError
from tidegate.record import Record
from tidegate.schema import Field, Schema, SchemaConfig
from tidegate.spec import LayerSpec, ModelSpec

BACKENDS = ["native", "reference"]
MODELS = {
    "gru": (LayerSpec("gru", 12),),
    "lstm": (LayerSpec("lstm", 9),),
    "rnn": (LayerSpec("rnn", 10),),
    "mixed": (LayerSpec("gru", 8), LayerSpec("lstm", 5), LayerSpec("rnn", 6)),
    "optional": (
        LayerSpec("gru", 8, reset_after=False, bias="single"),
        LayerSpec("lstm", 8, layer_norm=True, residual=True),
        LayerSpec("gru", 8, reset_after=False, layer_norm=True, bias="none", residual=True),
    ),
    "learned": (
        LayerSpec("lstm", 8, peephole=True, learned_initial_state=True, zoneout_cell=0.2),
        LayerSpec("gru", 8, zoneout=0.1, learned_initial_state=True),
    ),
}


@pytest.fixture(params=[*MODELS, *READOUTS])
def bundle(request, make_bundle):
    if request.param in READOUTS:
        return make_bundle(MODELS["mixed"], readout=request.param)
    return make_bundle(MODELS[request.param])


@pytest.fixture(params=BACKENDS)
def engine(request, bundle):
    return Engine.open(bundle, request.param)


def some_rows(engine, random_events, n, seed=0):
    columns = random_events(n, np.random.default_rng(seed))
    return engine.schema.encode(columns, np.arange(n) * 10.0, np.array([0, n])).rows


def same(one: SessionState, other: SessionState) -> bool:
    return (one.encoder.tobytes(), one.hidden.tobytes()) == (
        other.encoder.tobytes(),
        other.hidden.tobytes(),
    )


def test_native_is_within_1e_5_of_the_reference(bundle, random_events):
    engines = [Engine.open(bundle, backend) for backend in BACKENDS]
    rows = some_rows(engines[0], random_events, 120)
    native, reference = (engine.run("s", rows) for engine in engines)
    np.testing.assert_allclose(native, reference, rtol=0, atol=1e-5)
    native, reference = (engine.export_state("s").hidden for engine in engines)
    np.testing.assert_allclose(native, reference, rtol=0, atol=1e-5)


def test_run_equals_step_equals_repeats_in_one_call(engine, random_events):
    rows = some_rows(engine, random_events, 30)
    run = engine.run("run", rows)
    steps = np.concatenate([engine.step(["steps"], rows[i : i + 1]) for i in range(30)])
    mixed = engine.step([s for _ in range(30) for s in ("a", "b")], np.repeat(rows, 2, axis=0))
    for other in (steps, mixed[0::2], mixed[1::2]):
        assert other.tobytes() == run.tobytes()
    assert all(
        same(engine.export_state("run"), engine.export_state(s)) for s in ("steps", "a", "b")
    )


def test_step_events_in_any_company_equals_the_table(engine, random_events):
    """Batched streaming, with repeats, equals each session replayed alone from its table."""
    rng = np.random.default_rng(1)
    sessions = [f"s{i}" for i in rng.integers(0, 12, 200)]
    columns = random_events(200, rng)
    times = np.sort(rng.uniform(0, 1e6, 200))
    outputs = np.concatenate(
        [
            engine.step_events(
                sessions[i : i + 40],
                {name: column[i : i + 40] for name, column in columns.items()},
                times[i : i + 40],
            ).outputs
            for i in range(0, 200, 40)
        ]
    )
    for session in set(sessions):
        mine = np.array([i for i, s in enumerate(sessions) if s == session])
        alone = offline.outputs(
            engine,
            {name: column[mine] for name, column in columns.items()},
            times[mine],
            np.array([0, len(mine)]),
        )
        assert alone.tobytes() == outputs[mine].tobytes()


@settings(max_examples=25, deadline=None)
@given(cut=st.integers(0, 20), seed=st.integers(0, 1000))
def test_state_moves_between_engines_at_any_event(make_bundle, random_events, cut, seed):
    bundle = make_bundle(MODELS["mixed"])
    here, there, whole = (Engine.open(bundle) for _ in range(3))
    columns = random_events(20, np.random.default_rng(seed))
    times = np.arange(20) * 60.0

    def feed(engine, events):
        part = {name: column[events] for name, column in columns.items()}
        return engine.step_events(["s"] * len(times[events]), part, times[events]).outputs

    expected = feed(whole, slice(0, 20))
    first = feed(here, slice(0, cut))
    if cut:
        there.import_state("s", here.export_state("s"))
    second = feed(there, slice(cut, 20))
    assert np.concatenate([first, second]).tobytes() == expected.tobytes()
    if cut < 20:
        assert same(there.export_state("s"), whole.export_state("s"))


def test_a_forgotten_session_begins_anew(engine, random_events):
    rows = some_rows(engine, random_events, 5)
    first = engine.run("s", rows)
    assert engine.run("s", rows).tobytes() != first.tobytes()
    engine.forget("s")
    assert "s" not in engine
    assert engine.run("s", rows).tobytes() == first.tobytes()


def test_sessions_outlive_growth(engine, random_events):
    rows = some_rows(engine, random_events, 500)
    names = [f"s{i}" for i in range(500)]
    engine.step(names, rows)
    states = [engine.export_state(name) for name in names]
    for name in names[::3]:
        engine.forget(name)
    engine.step([f"later{i}" for i in range(400)], rows[:400])
    for name, state in zip(names, states, strict=True):
        if name in engine:
            assert same(engine.export_state(name), state)
    assert len(engine) == 500 - len(names[::3]) + 400


def test_a_broken_constant_fails_its_event_alone(engine, random_events):
    columns = random_events(3, np.random.default_rng(0))
    engine.step_events(["a", "b", "c"], columns, np.zeros(3))
    before = engine.export_state("b")
    columns["driver"] = np.array(["ann", "bob", "ann"], dtype=object)
    stepped = engine.step_events(["a", "b", "c"], columns, np.ones(3))
    assert set(stepped.errors) == {1}
    assert (stepped.errors[1].code, stepped.errors[1].field) == ("constant_changed", "driver")
    assert np.isnan(stepped.outputs[1]).all()
    assert np.isfinite(stepped.outputs[[0, 2]]).all()
    assert same(engine.export_state("b"), before)


def test_a_refused_first_event_begins_no_session(engine, random_events):
    columns = random_events(1, np.random.default_rng(0))
    columns["driver"] = np.array([None], dtype=object)
    stepped = engine.step_events(["new"], columns, np.zeros(1))
    assert stepped.errors[0].code == "missing_field"
    assert "new" not in engine


def test_an_output_that_is_not_finite_is_refused_and_undone(engine, random_events):
    columns = random_events(2, np.random.default_rng(0))
    engine.step_events(["sick", "well"], columns, np.zeros(2))
    sick = engine.export_state("sick")
    engine.import_state("sick", SessionState(sick.encoder, np.full_like(sick.hidden, np.nan)))
    stepped = engine.step_events(["sick", "well"], columns, np.ones(2))
    assert {k: e.code for k, e in stepped.errors.items()} == {0: "not_finite_output"}
    assert np.isfinite(stepped.outputs[1]).all()
    assert np.isnan(engine.export_state("sick").hidden).all()


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda rows: rows[:, :-1], "shape"),
        (lambda rows: rows[:2], "shape"),
        (lambda rows: np.where(np.arange(rows.shape[1]) == 0, np.nan, rows), "not finite"),
        (lambda rows: np.where(np.arange(rows.shape[1]) == 0, np.inf, rows), "not finite"),
        (lambda rows: rows + 0.25, "not an index"),
        (lambda rows: rows + 1e6, "not an index"),
        (lambda rows: rows - 1e6, "not an index"),
    ],
)
def test_bad_rows_are_refused_and_nothing_changes(engine, random_events, spoil, says):
    rows = some_rows(engine, random_events, 3)
    engine.step(["a", "b", "c"], rows)
    before = engine.export_state("a")
    with pytest.raises(InputError, match=says) as caught:
        engine.step(["a", "b", "new"], spoil(rows).astype(np.float32))
    assert (caught.value.code, caught.value.field) == ("bad_rows", "rows")
    assert same(engine.export_state("a"), before)
    assert "new" not in engine


@pytest.fixture
def exploding(make_bundle, random_events):
    """An engine whose state grows until it overflows, and 40 events that make it do so."""
    bundle = make_bundle((LayerSpec("rnn", 4, activation="relu"),))
    weights = {**bundle.weights}
    weights["layers.0.forward.recurrent"] = np.full((4, 4), 50.0, np.float32)
    weights["layers.0.forward.b_input"] = np.full(4, 9.0, np.float32)
    engine = Engine.open(dataclasses.replace(bundle, weights=weights), replay=False)
    return engine, some_rows(engine, random_events, 40)


def test_rows_that_overflow_the_state_are_refused_and_undone(exploding):
    engine, rows = exploding
    engine.run("sick", rows[:5])
    before = engine.export_state("sick")
    assert np.isfinite(before.hidden).all()
    with pytest.raises(InputError, match="'sick' is not finite") as caught:
        engine.step(["well", "new", *["sick"] * 35], rows[np.r_[0, 0, 5:40]])
    assert caught.value.code == "not_finite_output"
    assert same(engine.export_state("sick"), before)
    assert "well" not in engine
    assert "new" not in engine


def test_offline_refuses_what_live_refuses(exploding, random_events):
    engine, _ = exploding
    columns = random_events(40, np.random.default_rng(0))
    times = np.arange(40) * 10.0
    live = engine.step_events(["s"] * 40, columns, times)
    assert {error.code for error in live.errors.values()} == {"not_finite_output"}
    with pytest.raises(InputError, match="not finite"):
        offline.outputs(engine, columns, times, np.array([0, 40]))


def test_states_of_another_model_are_refused(engine):
    with pytest.raises(InputError, match="shapes") as caught:
        engine.import_state("s", SessionState(np.zeros(1), np.zeros(3, dtype=np.float32)))
    assert caught.value.code == "bad_state"
    assert "s" not in engine


def test_an_unknown_session_has_no_state(engine):
    with pytest.raises(InputError, match="no session 'who'"):
        engine.export_state("who")


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_model_that_cannot_stream_is_refused_by_name(make_bundle, backend):
    bundle = make_bundle((LayerSpec("gru", 4), LayerSpec("gru", 4, bidirectional=True)))
    with pytest.raises(EngineError, match="score whole sessions") as caught:
        Engine.open(bundle, backend)
    assert caught.value.code == "unsupported_spec"
    assert caught.value.field == "layers.1.bidirectional"


def test_an_unknown_backend_is_refused(make_bundle):
    with pytest.raises(InputError, match="'quantum' is not an engine"):
        Engine.open(make_bundle(), "quantum")


@pytest.fixture(params=BACKENDS)
def catalogue(request):
    """An engine of 40 outputs over two numbers."""
    fields = {name: Field("numeric", scale="none") for name in "ab"}
    columns = {name: np.zeros(1) for name in fields}
    schema = Schema.fit(SchemaConfig(fields), columns, np.zeros(1), np.array([0, 1]))
    spec = ModelSpec(2, (LayerSpec("gru", 12),), 40)
    weights = random_weights(spec, 0)
    if request.param == "native":
        return Engine(spec, schema, NativeArithmetic(core.pack(spec, weights)))
    return Engine(spec, schema, PlainArithmetic(ReferenceModel(spec, weights), spec))


def test_the_k_largest_are_those_of_all(catalogue):
    rows = np.random.default_rng(0).normal(size=(6, 2)).astype(np.float32)
    sessions = ["a", "b", "a", "c", "d", "a"]
    every = catalogue.fresh().step(sessions, rows)
    scores, indices = catalogue.top_k(sessions, rows, 3)
    assert (np.diff(scores) <= 0).all()
    np.testing.assert_array_equal(scores, np.take_along_axis(every, indices, axis=1))
    np.testing.assert_array_equal(scores, np.sort(every, axis=1)[:, :-4:-1])


@pytest.mark.parametrize("k", [0, 41])
def test_too_few_or_many_of_the_largest_are_refused(catalogue, k):
    with pytest.raises(InputError) as caught:
        catalogue.top_k(["a"], np.zeros((1, 2), np.float32), k)
    assert (caught.value.code, caught.value.field) == ("bad_k", "k")
    assert "a" not in catalogue


@pytest.mark.parametrize("session", ["", "x" * 513, "\ud800", 7])
def test_bad_session_ids_are_refused_by_name(engine, random_events, session):
    rows = some_rows(engine, random_events, 2)
    calls = [lambda: engine.step(["a", session], rows), lambda: engine.run(session, rows)]
    if isinstance(session, str):
        calls += [lambda: engine.export_state(session), lambda: engine.forget(session)]
    for call in calls:
        with pytest.raises(InputError) as caught:
            call()
        assert (caught.value.code, caught.value.field) == ("bad_session_id", "sessions")
    assert len(engine) == 0


def test_calls_from_several_threads_wait_for_each_other(make_bundle, random_events):
    bundle = make_bundle(MODELS["mixed"])
    engine, alone = Engine.open(bundle), Engine.open(bundle)
    rows = some_rows(engine, random_events, 50)
    expected = alone.run("s", rows)
    found = {}

    def feed(session):
        parts = [engine.step([session], rows[i : i + 1]) for i in range(50)]
        found[session] = np.concatenate(parts)

    threads = [threading.Thread(target=feed, args=(f"s{i}",)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {output.tobytes() for output in found.values()} == {expected.tobytes()}


def test_threads_are_given_by_number(make_bundle, random_events):
    bundle = make_bundle(MODELS["mixed"])
    with pytest.raises(InputError, match="0 is not a number of threads") as caught:
        Engine.open(bundle, threads=0)
    assert (caught.value.code, caught.value.field) == ("bad_threads", "threads")
    names = [f"s{i}" for i in range(300)]
    engines = [Engine.open(bundle, threads=threads) for threads in (1, 2)]
    rows = some_rows(engines[0], random_events, 300)
    one, two = (engine.step(names, rows) for engine in engines)
    assert one.tobytes() == two.tobytes()


def test_a_run_that_overflows_is_refused_and_undone(exploding):
    engine, rows = exploding
    engine.run("sick", rows[:5])
    before = engine.export_state("sick")
    with pytest.raises(InputError) as caught:
        engine.run("sick", rows[:38])
    assert caught.value.code == "not_finite_output"
    assert same(engine.export_state("sick"), before)


def test_events_that_overflow_change_no_part_of_their_session(exploding, random_events):
    engine, _ = exploding
    columns = random_events(40, np.random.default_rng(0))
    for event in range(40):
        before = engine.export_state("s") if event else None
        part = {name: column[event : event + 1] for name, column in columns.items()}
        if engine.step_events(["s"], part, np.array([event * 10.0])).errors:
            break
    assert event
    assert same(engine.export_state("s"), before)


def test_a_state_that_overflows_behind_finite_outputs_is_refused(make_bundle, random_events):
    """The upper layer's tanh hides from the outputs that the lower one's state is infinite."""
    bundle = make_bundle((LayerSpec("rnn", 4, activation="relu"), LayerSpec("rnn", 16)))
    weights = {**bundle.weights}
    weights["layers.0.forward.recurrent"] = np.full((4, 4), 50.0, np.float32)
    weights["layers.0.forward.b_input"] = np.full(4, 9.0, np.float32)
    weights["layers.1.forward.input"] = np.ones((16, 4), np.float32)
    engine = Engine.open(dataclasses.replace(bundle, weights=weights), replay=False)
    rows = some_rows(engine, random_events, 40)
    columns = random_events(40, np.random.default_rng(0))
    with pytest.raises(InputError, match="not finite"):
        engine.step(["s"] * 40, rows)
    with pytest.raises(InputError, match="not finite"):
        engine.run("s", rows)
    assert "s" not in engine
    stepped = engine.step_events(["s"] * 40, columns, np.arange(40) * 10.0)
    assert {error.code for error in stepped.errors.values()} == {"not_finite_output"}
    assert np.isfinite(engine.export_state("s").hidden).all()


@pytest.mark.parametrize("rows", [3, None, "abc", [["x"] * 9], np.zeros((2, 9), complex), [[1], 2]])
def test_rows_that_are_no_numbers_are_refused(engine, rows):
    for call in (lambda: engine.step(["a", "b"], rows), lambda: engine.run("a", rows)):
        with pytest.raises(InputError) as caught:
            call()
        assert (caught.value.code, caught.value.field) == ("bad_rows", "rows")
    assert len(engine) == 0


def test_rows_of_other_numbers_are_taken_as_they_are(engine, random_events):
    rows = some_rows(engine, random_events, 4)
    wanted = engine.fresh().step(list("abcd"), rows)
    for other in (rows.tolist(), rows.astype(np.float64), np.asfortranarray(rows), rows.data):
        assert engine.fresh().step(list("abcd"), other).tobytes() == wanted.tobytes()


@pytest.mark.parametrize("sessions", [None, 7, {"a", "b"}])
def test_sessions_that_are_no_sequence_are_refused(engine, random_events, sessions):
    rows = some_rows(engine, random_events, 2)
    with pytest.raises(InputError) as caught:
        engine.step(sessions, rows)
    assert (caught.value.code, caught.value.field) == ("bad_session_id", "sessions")
    assert len(engine) == 0


@pytest.mark.parametrize(
    ("spoil", "field"),
    [
        ({"speed": np.arange(2)}, "speed"),
        ({"road": np.array(["A1", "B2"])}, "road"),
        ({"road": np.array(["A1", 7], dtype=object)}, "road"),
        ({"road": np.array(["A1", "\ud800"], dtype=object)}, "road"),
        ({"speed": np.zeros(3)}, None),
    ],
)
def test_columns_of_another_type_are_refused_by_name(engine, random_events, spoil, field):
    columns = {**random_events(2, np.random.default_rng(0)), **spoil}
    with pytest.raises(InputError) as caught:
        engine.step_events(["a", "b"], columns, np.zeros(2))
    assert field is None or caught.value.field == field
    assert len(engine) == 0


def test_times_that_are_no_numbers_are_refused(engine, random_events):
    columns = random_events(2, np.random.default_rng(0))
    with pytest.raises(InputError) as caught:
        engine.step_events(["a", "b"], columns, ["x", "y"])
    assert (caught.value.code, caught.value.field) == ("wrong_type", "times")


def test_a_session_takes_less_than_its_record(make_bundle):
    """At every size, also while the index grows (at 3/4 of 65,536), and whatever is padded most."""
    engine = Engine.open(make_bundle((LayerSpec("gru", 17),)), replay=False)
    rows = np.zeros((1000, engine.spec.row_size), dtype=np.float32)
    names = [f"{i:08}-0000-4000-8000-{i:012}" for i in range(50_000)]
    per_session = []
    for first in range(0, len(names), 1000):
        engine.step(names[first : first + 1000], rows)
        per_session.append(engine.nbytes / len(engine))
    assert len(engine) == len(names)
    state = engine.export_state(names[0])
    smallest = Record("live", bytes(32), "1", 7, 60.0, 0.5, 61.0, state.encoder, state.hidden)
    assert max(per_session) < len(record.encode(smallest))  # + 64 is the goal

"""The arena of sessions against a dict."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tidegate._core import Arena

HIDDEN_SIZE, ENCODER_SIZE = 5, 3
INITIAL = [0.5, -1.5, 0.0, 2.0, 1.0]
BEYOND_A_HUNDRED = 300  # the first index holds 192

ids = st.one_of(
    st.sampled_from(
        ["a", "b", "a\0", "\0", "é", "日本語", "x" * 22, "x" * 23, "y" * 512, "é" * 256]
    ),
    st.integers(0, 2 * BEYOND_A_HUNDRED).map("session-{}".format),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30),
)
some_ids = st.lists(ids, max_size=8)


class AgainstDict(RuleBasedStateMachine):
    """Every operation, beside a dict that says what should be there."""

    @initialize(learned=st.booleans())
    def begin(self, learned: bool) -> None:
        initial = np.array(INITIAL, dtype=np.float32) if learned else None
        self.arena = Arena(HIDDEN_SIZE, ENCODER_SIZE, initial)
        self.initial = INITIAL if learned else [0.0] * HIDDEN_SIZE
        self.slots: dict[str, int] = {}
        self.states: dict[str, tuple[list[float], list[float]]] = {}
        self.turn = 0

    def check_take(self, sessions: list[str]) -> None:
        slots, fresh = self.arena.take(sessions)
        for session, slot, began in zip(sessions, slots.tolist(), fresh.tolist(), strict=True):
            assert began == (session not in self.slots)
            if began:
                assert slot not in self.slots.values()
                self.states[session] = ([], [])
            assert self.slots.setdefault(session, slot) == slot

    @rule(sessions=some_ids)
    def take(self, sessions: list[str]) -> None:
        self.check_take(sessions)

    @rule(first=st.integers(0, 200), count=st.integers(0, BEYOND_A_HUNDRED))
    def take_many(self, first: int, count: int) -> None:
        self.check_take([f"session-{i}" for i in range(first, first + count)])

    @rule(sessions=some_ids)
    def drop(self, sessions: list[str]) -> None:
        assert self.arena.drop(sessions) == len(self.slots.keys() & set(sessions))
        self.lose(sessions)

    @rule(first=st.integers(0, 200), count=st.integers(0, BEYOND_A_HUNDRED))
    def drop_many(self, first: int, count: int) -> None:
        sessions = [f"session-{i}" for i in range(first, first + count)]
        assert self.arena.drop(sessions) == len(self.slots.keys() & set(sessions))
        self.lose(sessions)

    def lose(self, sessions: list[str]) -> None:
        for session in sessions:
            self.slots.pop(session, None)
            self.states.pop(session, None)

    @rule(session=ids)
    def import_state(self, session: str) -> None:
        self.turn += 1
        encoder = np.arange(ENCODER_SIZE) + self.turn
        hidden = np.arange(HIDDEN_SIZE, dtype=np.float32) - self.turn
        self.arena.import_state(session, encoder.astype(np.float64), hidden)
        self.slots.setdefault(session, int(self.arena.find([session])[0]))
        self.states[session] = (encoder.tolist(), hidden.tolist())

    @rule(session=ids)
    def export_state(self, session: str) -> None:
        if session not in self.slots:
            with pytest.raises(KeyError):
                self.arena.export_state(session)

    @rule(session=ids)
    def contains(self, session: str) -> None:
        assert (session in self.arena) == (session in self.slots)

    @rule()
    def find_all(self) -> None:
        sessions = [*self.slots, "never begun"]
        assert self.arena.find(sessions).tolist() == [*self.slots.values(), -1]
        for session, (encoder, hidden) in self.states.items():
            found_encoder, found_hidden = self.arena.export_state(session)
            if encoder:
                assert found_encoder.tolist() == encoder
            else:
                assert np.isnan(found_encoder).all()
            assert found_hidden.tolist() == (hidden or self.initial)

    @invariant()
    def has_as_many(self) -> None:
        assert len(self.arena) == len(self.slots)

    def teardown(self) -> None:
        self.find_all()


TestAgainstDict = AgainstDict.TestCase
TestAgainstDict.settings = settings(deadline=None, max_examples=60, stateful_step_count=40)


def named(first: int, last: int) -> list[str]:
    return [f"a session with a long name, {i}" for i in range(first, last)]


def test_slots_stay_while_the_index_grows() -> None:
    arena = Arena(1, 0)
    sessions = named(0, 20_000)
    slots = np.concatenate([arena.take(sessions[i : i + 7])[0] for i in range(0, 20_000, 7)])
    assert len(set(slots.tolist())) == 20_000
    assert (arena.find(sessions) == slots).all()
    assert arena.drop(sessions[::2]) == 10_000
    assert (arena.find(sessions[1::2]) == slots[1::2]).all()
    assert (arena.find(sessions[::2]) == -1).all()


def test_dropping_while_the_index_grows() -> None:
    sessions = named(0, 4_000)
    rng = np.random.default_rng(0)
    for _ in range(40):  # each has a seed of its own, so entries lie elsewhere
        arena, there = Arena(1, 0), np.zeros(len(sessions), dtype=bool)
        for i, session in enumerate(sessions):
            arena.take([session])
            there[i] = True
            if i % 3 == 0:
                lost = int(rng.integers(i + 1))
                assert arena.drop([sessions[lost]]) == there[lost]
                there[lost] = False
        assert ((arena.find(sessions) >= 0) == there).all()
        assert len(arena) == there.sum()


def test_states_stay_where_slabs_are_added() -> None:
    arena = Arena(100_000, 2)  # about 20 sessions a slab
    sessions = named(0, 70)
    for i, session in enumerate(sessions):
        arena.import_state(session, np.full(2, i), np.full(100_000, i, dtype=np.float32))
    for i, session in enumerate(sessions):
        encoder, hidden = arena.export_state(session)
        assert encoder.tolist() == [i, i]
        assert (hidden == i).all()


def test_a_slot_that_is_used_again_is_blank() -> None:
    arena = Arena(3, 2)
    arena.import_state("old", np.ones(2), np.ones(3, dtype=np.float32))
    slot = arena.find(["old"])
    arena.drop(["old"])
    assert arena.take(["new"])[0] == slot
    encoder, hidden = arena.export_state("new")
    assert np.isnan(encoder).all()
    assert hidden.tolist() == [0.0] * 3


@pytest.mark.parametrize(("name", "beside"), [("{:022}", 56), ("{:036}", 88)])
def test_memory_of_a_session(name: str, beside: int) -> None:
    arena = Arena(64, 3)
    for n in range(2_000, 200_001, 2_000):
        arena.take([name.format(i) for i in range(n - 2_000, n)])
        least = 64 * 4 + 3 * 8 + len(name.format(0))
        assert arena.bytes / n <= least + beside + 4096 / n


def test_a_small_arena_is_small() -> None:
    arena = Arena(64, 3)
    arena.take(["a"])
    assert arena.bytes < 4096


@pytest.mark.parametrize(
    ("bad", "message"),
    [("", "an empty id"), ("é" * 257, "514 bytes"), ("\ud800", "UTF-8")],
)
def test_ids_that_cannot_be(bad: str, message: str) -> None:
    arena = Arena(2, 1)
    for call in (arena.find, arena.take, arena.drop):
        with pytest.raises(ValueError, match=f"position 2: .*{message}"):
            call(["a", "b", bad])
    for call in (arena.export_state, arena.__contains__):
        with pytest.raises(ValueError, match=message):
            call(bad)
    with pytest.raises(ValueError, match=message):
        arena.import_state(bad, np.zeros(1), np.zeros(2, dtype=np.float32))
    assert len(arena) == 0


def test_what_is_no_list_of_ids() -> None:
    arena = Arena(2, 1)
    with pytest.raises(TypeError, match="position 1: not a str"):
        arena.take(["a", b"b"])  # type: ignore[list-item]
    with pytest.raises(TypeError, match="a str, not a sequence"):
        arena.take("ab")
    with pytest.raises(TypeError):
        arena.take(3)  # type: ignore[arg-type]
    assert len(arena) == 0
    assert arena.take(iter(["a", "b"]))[0].tolist() == [0, 1]


@pytest.mark.parametrize(("encoder", "hidden"), [((2,), (2,)), ((1,), (3,)), ((1, 1), (2,))])
def test_states_of_a_wrong_shape(encoder: tuple[int, ...], hidden: tuple[int, ...]) -> None:
    arena = Arena(2, 1)
    with pytest.raises((TypeError, ValueError)):
        arena.import_state("a", np.zeros(encoder), np.zeros(hidden, dtype=np.float32))
    assert len(arena) == 0


def test_an_initial_state_is_a_copy_and_of_the_hidden_size() -> None:
    initial = np.ones(3, dtype=np.float32)
    arena = Arena(3, 0, initial)
    initial[:] = 7
    arena.take(["a"])
    assert arena.export_state("a")[1].tolist() == [1.0, 1.0, 1.0]
    with pytest.raises(ValueError, match="initial"):
        Arena(2, 0, initial)


@pytest.mark.parametrize("sizes", [(0, 1), (2**24 + 1, 0), (1, 2**24 + 1)])
def test_sizes_that_cannot_be(sizes: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="_size"):
        Arena(*sizes)


OUT_OF_MEMORY = """
import resource
import numpy as np
from tidegate._core import Arena

arena = Arena(4096, 1)
arena.import_state("kept", np.ones(1), np.ones(4096, dtype=np.float32))
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (96 << 20),) * 2)
names = [f"a session with a long name, {i}" for i in range(9000)]
batches = [names[k : k + 600] for k in range(0, 9000, 600)]
for taken, batch in enumerate(batches):
    try:
        arena.take([*batch, "kept"])
    except MemoryError:
        break
else:
    raise AssertionError("there was memory for all")
assert taken > 1
assert len(arena) == 1 + 600 * taken
assert (arena.find(batch) == -1).all()
assert (arena.find(sum(batches[:taken], [])) >= 0).all()
assert arena.export_state("kept")[1].sum() == 4096
arena.drop(batches[0])
assert arena.take(batch)[1].all()
"""


def test_no_memory_left_changes_nothing() -> None:
    subprocess.run([sys.executable, "-c", OUT_OF_MEMORY], check=True)

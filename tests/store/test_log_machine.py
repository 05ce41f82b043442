"""Whatever happens to a log, it does as a dictionary does."""

from __future__ import annotations

import resource
import shutil
import signal
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from logs import killed

from tidegate.errors import StoreError
from tidegate.store import LogStore

keys = st.binary(min_size=1, max_size=1)
values = st.binary(max_size=3).map(lambda value: value * 100)
_FREE = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)


class LogMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        memory = Path("/dev/shm")
        self.folder = Path(tempfile.mkdtemp(dir=memory if memory.is_dir() else None))
        self.copies = 0
        self.path = self.folder / "0"
        self.expected: dict[bytes, bytes] = {}
        self.open()

    def open(self) -> None:
        self.store = LogStore(self.path, segment_size=2048, space=1.5)

    def teardown(self) -> None:
        self.store.close()
        shutil.rmtree(self.folder)

    @rule(puts=st.dictionaries(keys, values, max_size=6), deletes=st.lists(keys, max_size=3))
    def commit(self, puts: dict[bytes, bytes], deletes: list[bytes]) -> None:
        self.store.commit([*puts.items()], deletes)
        self.expected.update(puts)
        for key in deletes:
            self.expected.pop(key, None)

    @rule(puts=st.dictionaries(keys, values, min_size=1, max_size=6), room=st.integers(64, 3000))
    def commit_on_a_full_disk(self, puts: dict[bytes, bytes], room: int) -> None:
        """Some of it may be written, and even all of it."""
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))
        try:
            self.store.commit([*puts.items()])
            self.expected.update(puts)
        except StoreError:
            assert self.store.failed
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, _FREE)

    @rule()
    def recover(self) -> None:
        assert self.store.recover()
        assert not self.store.failed

    @rule()
    def cut(self) -> None:
        assert self.store.recover()
        self.store.cut()

    @rule()
    def close_and_open(self) -> None:
        self.store.close()
        self.open()

    @rule()
    def be_killed_and_open(self) -> None:
        assert self.store.recover()  # what failed may else be found whole by the next process
        self.copies += 1
        old, self.path = self.path, self.folder / str(self.copies)
        killed(old, self.path)
        self.store.close()
        shutil.rmtree(old)
        self.open()

    @invariant()
    def holds_what_it_should(self) -> None:
        assert dict(self.store.scan()) == self.expected
        asked = [*self.expected, b"nothing"]
        assert self.store.get(asked) == [*self.expected.values(), None]
        assert self.store.stats().keys == len(self.expected)


@pytest.fixture(autouse=True, scope="module")
def _no_signal_for_files_too_large() -> object:
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGXFSZ, before)


TestLog = LogMachine.TestCase
TestLog.settings = settings(deadline=None, max_examples=60, stateful_step_count=30)

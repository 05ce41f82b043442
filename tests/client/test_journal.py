"""The file that remembers the event under way, cut off wherever a crash may cut it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tidegate.client import journal as journals
from tidegate.client.journal import Journal, Pending


def opened(path: Path) -> tuple[int | None, Pending | None]:
    with Journal(path, "m", "s") as journal:
        return journal.seq, journal.pending


def test_what_was_written_whole_counts_wherever_the_file_ends(tmp_path: Path) -> None:
    path, states = tmp_path / "journal", {}
    with Journal(path, "m", "s") as journal:
        states[path.stat().st_size] = (None, None)
        for seq in (1, 2, 3):
            journal.begin(Pending(seq, b'{"seq":%d}' % seq))
            states[path.stat().st_size] = (seq - 1, Pending(seq, b'{"seq":%d}' % seq))
            journal.settle(seq)
            states[path.stat().st_size] = (seq, None)
    whole = path.read_bytes()
    for end in range(len(whole) + 1):
        path.write_bytes(whole[:end])
        reached = [size for size in states if size <= end]
        assert opened(path) == (states[max(reached)] if reached else (None, None))
        assert opened(path) == (states[max(reached)] if reached else (None, None))  # rewritten


def test_it_does_not_grow_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journals, "_MOST_BYTES", 1000)
    path, body = tmp_path / "journal", b'{"event":"' + b"x" * 100 + b'"}'
    with Journal(path, "m", "s") as journal:
        for seq in range(1, 100):
            journal.begin(Pending(seq, body))
            assert path.stat().st_size < 1500
            journal.settle(seq)
    assert opened(path) == (99, None)

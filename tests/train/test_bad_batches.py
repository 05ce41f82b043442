from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch

from tidegate.data.batches import Batch
from tidegate.errors import InputError
from tidegate.train.bad_batches import KEPT_SESSIONS, BadBatch, Suspect, suspects, write


def batch_of(sessions: int) -> Batch:
    """Session i has rows of i, and two events here; that of place 3 had 40 before them."""
    rows = np.repeat(np.arange(sessions, dtype=np.float32), 6).reshape(sessions, 3, 2)
    lengths = np.full(sessions, 2)
    ids, new = np.arange(sessions) + 10, np.full(sessions, -1)
    before = np.where(ids == 13, 40, 0)
    return Batch(rows, lengths, np.zeros((sessions, 3)), ids, 50 * ids, before, new)


def test_the_most_suspect_sessions_come_first() -> None:
    batch = batch_of(4)
    batch.rows[1, 1, 1] = -np.inf
    batch.rows[2, 2, 0] = np.nan  # padding: nobody read it
    batch.rows[3, 0, 1] = -7.0
    outputs = torch.zeros(4, 3, 1)
    outputs[0, 1] = torch.nan
    outputs[2, 2] = torch.nan  # padding
    ids = [f"car {i}" for i in range(14)]
    assert suspects(batch, outputs, ids) == (
        Suspect(11, "car 11", 2, False, True, 1, 1, None),
        Suspect(10, "car 10", 2, True, False, 0, 0, 0.0),
        Suspect(13, "car 13", 2, True, True, 40, 1, 7.0),
        Suspect(12, "car 12", 2, True, True, 0, 0, 2.0),
    )


def test_their_number_is_bounded_and_ids_may_be_unknown() -> None:
    found = suspects(batch_of(KEPT_SESSIONS + 5), torch.zeros(KEPT_SESSIONS + 5, 3, 1))
    assert [one.largest for one in found] == [float(KEPT_SESSIONS + 4 - i) for i in range(32)]
    assert {one.id for one in found} == {None}


def test_descriptions_are_written_as_json(tmp_path: Path) -> None:
    found = suspects(batch_of(2), torch.zeros(2, 3, 1))
    batches = [BadBatch(1, 5, "loss", 0.1, 2, found)]
    write(batches, tmp_path / "bad.json")
    content = (tmp_path / "bad.json").read_bytes()
    assert msgspec.json.decode(content, type=list[BadBatch]) == batches
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError) as caught:
        write(batches, tmp_path / "folder")
    assert caught.value.code == "cannot_write"

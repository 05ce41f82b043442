"""Records survive their bytes, and the bytes are those of format 1."""

from __future__ import annotations

import struct
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tidegate import record
from tidegate.core import crc32c
from tidegate.errors import InputError
from tidegate.record import Record, StoredAnswer

u64 = st.integers(0, 2**64 - 1)
small_bytes = st.binary(max_size=40)
records = st.builds(
    Record,
    status=st.sampled_from(["live", "ended", "deleted", "expired"]),
    fingerprint=st.binary(min_size=32, max_size=32),
    model_version=st.text(max_size=20),
    seq=u64,
    time=st.floats(),
    created=st.floats(),
    updated=st.floats(),
    encoder=hnp.arrays(np.float64, st.integers(0, 9)),
    hidden=hnp.arrays(np.float32, st.integers(0, 9)),
    answer_state=small_bytes,
    answers=st.lists(
        st.builds(
            StoredAnswer, u64, u64, st.floats(), small_bytes, st.text(max_size=9), st.booleans()
        ),
        max_size=4,
    ).map(tuple),
    events=st.lists(small_bytes, max_size=4).map(tuple),
    unknown=st.lists(st.tuples(st.integers(9, 2**32 - 1), small_bytes), max_size=3).map(tuple),
)

SMALL = Record(
    status="ended",
    fingerprint=bytes(range(32)),
    model_version="v2",
    seq=3,
    time=60.0,
    created=0.5,
    updated=61.0,
    encoder=np.array([1.5, np.nan]),
    hidden=np.array([0.25, -1.0, 2.0], dtype=np.float32),
    answer_state=b"xyz",
    answers=(StoredAnswer(2, 7, 30.0, b"{}"), StoredAnswer(3, 2**64 - 1, 60.0, b'{"a":1}')),
    events=(b"e",),
    unknown=((4000, b"later"),),
)

GOLDEN = (
    ("header", "74675243 0100 0900 4401000000000000"),
    ("1 session", "01000000 20000000"),
    ("  seq, time", "0300000000000000 0000000000004e40"),
    ("  created, updated", "000000000000e03f 0000000000804e40"),
    ("2 hidden", "02000000 0c000000 0000803e 000080bf 00000040 00000000"),
    ("3 status", "03000000 04000000 01000000 00000000"),
    ("4 model", "04000000 22000000"),
    ("  fingerprint", "000102030405060708090a0b0c0d0e0f 101112131415161718191a1b1c1d1e1f"),
    ("  version", "7632 000000000000"),
    ("5 encoder", "05000000 10000000 000000000000f83f 000000000000f87f"),
    ("6 answer_state", "06000000 03000000 78797a 0000000000"),
    ("7 answers", "07000000 51000000 02000000 00000000"),
    ("  of seq 2", "0200000000000000 0700000000000000 0000000000003e40 02000000 00000000"),
    ("  of seq 3", "0300000000000000 ffffffffffffffff 0000000000004e40 07000000 00000000"),
    ("  bytes", "7b7d 7b2261223a317d 00000000000000"),
    ("8 events", "08000000 09000000 01000000 01000000 65 00000000000000"),
    ("4000 unknown", "a00f0000 05000000 6c61746572 000000"),
    ("checksum", "b57f52a4"),
)
"""`SMALL` in format 1. A change here is a new format: stored records must stay readable."""


def test_format_1_is_pinned() -> None:
    golden = bytes.fromhex("".join(part for _, part in GOLDEN))
    assert record.encode(SMALL).hex() == golden.hex()
    assert record.encode(record.decode(golden)) == golden


def members(known: Record) -> dict[str, Any]:
    """A record's members with its numbers as bytes, so that NaN equals NaN."""
    found = msgspec.structs.asdict(known)
    found["answers"] = [msgspec.structs.astuple(answer) for answer in known.answers]
    for name in ("time", "created", "updated"):
        found[name] = struct.pack("<d", found[name])
    for index, (seq, payload_hash, time, *rest) in enumerate(found["answers"]):
        found["answers"][index] = (seq, payload_hash, struct.pack("<d", time), *rest)
    for name in ("encoder", "hidden"):
        found[name] = (found[name].dtype, found[name].tobytes())
    return found


@settings(deadline=None, max_examples=150)
@given(records)
def test_a_record_survives_its_bytes(known: Record) -> None:
    data = record.encode(known)
    again = record.decode(data)
    assert members(again) == members(known)
    assert record.encode(again) == data


@settings(deadline=None, max_examples=50)
@given(records)
def test_the_hidden_state_lies_at_64(known: Record) -> None:
    data = record.encode(known)
    size = known.hidden.nbytes
    assert struct.unpack_from("<II", data, 56) == (2, size)
    assert data[64 : 64 + size] == known.hidden.tobytes()
    assert len(data) == struct.unpack_from("<Q", data, 8)[0]


def test_unknown_sections_are_kept_wherever_they_stand() -> None:
    plain = record.encode(msgspec.structs.replace(SMALL, unknown=()))
    added = bytes.fromhex("63000000 0b000000") + b"from beyond" + bytes(5)
    behind_hidden = 64 + 16  # three floats, padded
    for at in (behind_hidden, len(plain) - 4):
        body = bytearray(plain[:at] + added + plain[at:-4])
        body[6:8] = struct.pack("<H", 9)
        body[8:16] = struct.pack("<Q", len(body) + 4)
        again = record.decode(bytes(body) + struct.pack("<I", crc32c(bytes(body))))
        assert again.unknown == ((99, b"from beyond"),)
        assert again.events == SMALL.events
        assert record.decode(record.encode(again)).unknown == again.unknown


def test_decoded_arrays_cannot_be_written() -> None:
    again = record.decode(record.encode(SMALL))
    for array in (again.hidden, again.encoder):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1.0


def test_arrays_that_are_not_contiguous() -> None:
    stack = np.arange(12, dtype=np.float32).reshape(4, 3)
    again = record.decode(record.encode(msgspec.structs.replace(SMALL, hidden=stack[:, 1])))
    assert again.hidden.tolist() == [1.0, 4.0, 7.0, 10.0]


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"fingerprint": bytes(31)}, "fingerprint"),
        ({"hidden": np.zeros(3)}, "hidden"),
        ({"hidden": np.zeros((1, 3), dtype=np.float32)}, "hidden"),
        ({"encoder": np.zeros(3, dtype=np.float32)}, "encoder"),
        ({"unknown": ((8, b""),)}, "unknown"),
        ({"unknown": ((2**32, b""),)}, None),
        ({"status": "asleep"}, None),
        ({"seq": -1}, None),
        ({"seq": 2**64}, None),
        ({"answers": (StoredAnswer(1, -1, 0.0, b""),)}, None),
        ({"model_version": "\ud800"}, None),
    ],
)
def test_what_does_not_fit_is_refused(changed: dict[str, Any], field: str | None) -> None:
    with pytest.raises(InputError) as caught:
        record.encode(msgspec.structs.replace(SMALL, **changed))
    assert (caught.value.code, caught.value.field) == ("bad_record", field)

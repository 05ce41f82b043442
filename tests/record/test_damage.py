"""Damaged bytes are named, never misread, and raise nothing but `RecordError`."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate import record
from tidegate.core import crc32c
from tidegate.errors import RecordError
from tidegate.record import Record, StoredAnswer

WHOLE = record.encode(
    Record(
        status="live",
        fingerprint=bytes(range(32)),
        model_version="7",
        seq=2,
        time=60.0,
        created=0.0,
        updated=60.0,
        encoder=np.array([1.0]),
        hidden=np.array([0.5, 0.25], dtype=np.float32),
        answer_state=b"state",
        answers=(StoredAnswer(1, 11, 0.0, b"{}"), StoredAnswer(2, 12, 60.0, b"{}")),
        events=(b"raw", b"events"),
        unknown=((99, b"later"),),
    )
)
# Where each section's header begins; the record's values above decide it.
SESSION, HIDDEN, STATUS, MODEL, ENCODER = 16, 56, 72, 88, 136
ANSWERS, EVENTS, UNKNOWN = 168, 256, 288


def code_of(data: bytes) -> str:
    with pytest.raises(RecordError) as caught:
        record.decode(data)
    assert caught.value.hint
    return caught.value.code


def sealed(body: bytes) -> bytes:
    """A body with the length and the checksum that belong to it, as a clever fault leaves it."""
    body = body[:8] + struct.pack("<Q", len(body) + 4) + body[16:]
    return body + struct.pack("<I", crc32c(body))


def test_every_truncation() -> None:
    for size in range(len(WHOLE)):
        assert code_of(WHOLE[:size]) == "record_truncated"


def test_trailing_bytes() -> None:
    assert code_of(WHOLE + b"\0") == "record_trailing"


def test_every_flipped_bit() -> None:
    codes = {"record_magic", "record_version", "record_damaged", "record_truncated"}
    codes |= {"record_trailing", "record_checksum"}
    for at in range(len(WHOLE)):
        for bit in range(8):
            changed = WHOLE[:at] + bytes([WHOLE[at] ^ 1 << bit]) + WHOLE[at + 1 :]
            code = code_of(changed)
            assert code in codes
            assert at < 16 or code == "record_checksum"


def test_something_else_than_a_record() -> None:
    assert code_of(b"PK\x03\x04" + WHOLE[4:]) == "record_magic"


def test_a_newer_format_says_so() -> None:
    with pytest.raises(RecordError, match="newer tidegate") as caught:
        record.decode(WHOLE[:4] + struct.pack("<H", record.FORMAT + 1) + b"whatever comes then")
    assert caught.value.code == "record_version"


def put(at: int, types: str, *values: int) -> Callable[[bytes], bytes]:
    new = struct.pack("<" + types, *values)
    return lambda body: body[:at] + new + body[at + len(new) :]


def shorten(at: int, length: int) -> Callable[[bytes], bytes]:
    """Shorten a section by less than 8 bytes, so that the next one stays where it is."""
    zeros = b"\0" * (-length % 8)
    return lambda body: put(at + 4, "I", length)(
        body[: at + 8 + length] + zeros + body[at + 8 + length + len(zeros) :]
    )


def emptied(at: int, end: int) -> Callable[[bytes], bytes]:
    return lambda body: put(at + 4, "I", 0)(body[: at + 8] + body[end:])


@pytest.mark.parametrize(
    ("fault", "field", "message"),
    [
        (put(4, "H", 0), None, "format 0"),
        (put(6, "H", 8), None, "16 bytes stand after the last section"),
        (put(6, "H", 10), None, "10 sections are announced, 9 are there"),
        (put(UNKNOWN + 4, "I", 9), "section 99", "9 bytes run over"),
        (put(EVENTS + 4, "I", 2**32 - 1), "events", "4294967295 bytes run over"),
        (put(STATUS + 12, "B", 1), "status", "not zero"),
        (put(UNKNOWN, "I", 8), "events", "a second one"),
        (put(STATUS, "I", 98), "status", "missing"),
        (shorten(SESSION, 31), "session", "31 bytes instead of 32"),
        (emptied(SESSION, HIDDEN), "session", "0 bytes instead of 32"),
        (shorten(HIDDEN, 7), "hidden", "7 bytes are no whole number of float32"),
        (shorten(ENCODER, 4), "encoder", "4 bytes are no whole number of float64"),
        (put(STATUS + 8, "I", 4), "status", "4 is no status"),
        (shorten(STATUS, 3), "status", "3 bytes instead of 4"),
        (emptied(MODEL, ENCODER), "model", "0 bytes hold no fingerprint"),
        (put(MODEL + 8 + 32, "B", 0xFF), "model", "not UTF-8"),
        (put(ANSWERS + 8, "I", 3), "answers", "do not hold 3 answers"),
        (emptied(ANSWERS, EVENTS), "answers", "0 bytes hold no count"),
        (put(ANSWERS + 8, "I", 2**32 - 1), "answers", "do not hold 4294967295 answers"),
        (put(ANSWERS + 8, "I", 1), "answers", "they end at"),
        (put(ANSWERS + 12, "I", 1), "answers", "reserved"),
        (put(ANSWERS + 16 + 28, "I", 2), "answers", "reserved"),
        (put(ANSWERS + 16 + 28, "I", 1 << 8), "answers", "they end at"),
        (put(ANSWERS + 16 + 24, "I", 2**32 - 1), "answers", "they end at"),
        (emptied(EVENTS, UNKNOWN), "events", "0 bytes hold no count"),
        (put(EVENTS + 8, "I", 2**32 - 1), "events", "do not hold 4294967295 events"),
        (put(EVENTS + 12, "I", 4), "events", "they end at"),
    ],
)
def test_a_fault_under_a_right_checksum_is_named(
    fault: Callable[[bytes], bytes], field: str | None, message: str
) -> None:
    with pytest.raises(RecordError, match=message) as caught:
        record.decode(sealed(fault(WHOLE[:-4])))
    assert (caught.value.code, caught.value.field) == ("record_damaged", field)


def test_a_hidden_state_out_of_its_place() -> None:
    body = WHOLE[:-4]
    moved = body[:HIDDEN] + body[STATUS:] + body[HIDDEN:STATUS]
    with pytest.raises(RecordError, match="not at a multiple of 64") as caught:
        record.decode(sealed(moved))
    assert caught.value.field == "hidden"


def survives_decoding(data: bytes) -> None:
    """Decode; any exception but `RecordError` fails the test. What passes is whole."""
    with contextlib.suppress(RecordError):
        assert len(record.encode(record.decode(data))) == len(data)


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=200))
def test_random_bytes(data: bytes) -> None:
    survives_decoding(data)
    survives_decoding(WHOLE[:16] + data)
    survives_decoding(sealed(WHOLE[:16] + data))


edits = st.lists(
    st.tuples(st.integers(0, len(WHOLE) - 5), st.binary(min_size=1, max_size=4)), max_size=4
)


@settings(deadline=None, max_examples=500)
@given(edits, st.integers(16, len(WHOLE) - 4))
def test_random_edits_under_a_right_checksum(edits: list[tuple[int, bytes]], size: int) -> None:
    body = bytearray(WHOLE[:-4])
    for at, new in edits:
        body[at : at + len(new)] = new
    survives_decoding(sealed(bytes(body)))
    survives_decoding(sealed(bytes(body[:size])))
    survives_decoding(bytes(body) + WHOLE[-4:])

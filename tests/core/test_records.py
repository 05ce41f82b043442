"""The reader and writer of records in C, by way of a table, against the codec."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable
from contextlib import closing
from itertools import product
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from changed_records import NO_ENCODER, NO_HIDDEN, stepped, tombstone
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from logs import contents
from table_model import MODEL, PREFIX, PRINT, SCHEMA, VERSION, Sent, new_table, process

from tidegate import core, record
from tidegate.core import RECORD_CODES, crc32c
from tidegate.errors import RecordError
from tidegate.record import Record, StoredAnswer
from tidegate.serve.limits import Limits
from tidegate.store import LogStore
from tidegate.store.verify import verify

NOW = 1_700_000_000.0
CRC = 0x48674BC7
ANSWER_SIZE = 4 * MODEL.output_size

times = st.floats(-1e300, 1e300)
small_bytes = st.binary(max_size=40)
versions = st.sampled_from(["", VERSION, "6", "näin"])
blank_states = st.just(np.full(SCHEMA.state_size, np.nan))
answers = st.builds(
    StoredAnswer,
    st.integers(0, 2**63 - 1),
    st.integers(0, 2**64 - 1),
    times,
    st.binary(min_size=ANSWER_SIZE, max_size=ANSWER_SIZE),
    versions,
    st.booleans(),
)
records = st.builds(
    Record,
    status=st.sampled_from(["live", "ended", "deleted", "expired"]),
    fingerprint=st.just(PRINT),
    model_version=versions,
    seq=st.integers(0, 2**63 - 2),
    time=times,
    created=times,
    updated=times,
    encoder=hnp.arrays(np.float64, SCHEMA.state_size) | blank_states,
    hidden=hnp.arrays(np.float32, MODEL.state_size)
    | hnp.arrays(np.float32, MODEL.state_size, elements=st.floats(-9, 9, width=32)),
    answer_state=small_bytes,
    answers=st.lists(answers, max_size=3).map(tuple),
    events=st.lists(small_bytes, max_size=3).map(tuple),
    unknown=st.lists(st.tuples(st.integers(9, 2**32 - 1), small_bytes), max_size=2).map(tuple),
)

SMALL = Record(
    status="live",
    fingerprint=PRINT,
    model_version=VERSION,
    seq=3,
    time=60.0,
    created=0.5,
    updated=61.0,
    encoder=np.full(SCHEMA.state_size, np.nan),
    hidden=np.linspace(-1.0, 2.0, MODEL.state_size, dtype=np.float32),
    answer_state=b"xyz",
    answers=(
        StoredAnswer(2, 7, 30.0, bytes(ANSWER_SIZE), "v1"),
        StoredAnswer(3, 2**64 - 1, 60.0, bytes(range(ANSWER_SIZE))),
    ),
    events=(b"e", b"vent"),
)
WHOLE = record.encode(SMALL)


def codes_of(data: list[bytes]) -> list[str]:
    """What a table says of records, each of a session of its own."""
    table = new_table(tombstone_seconds=math.inf)
    names = [f"s{i}" for i in range(len(data))]
    codes = [RECORD_CODES[code] for code in table.load(names, data)]
    for name, code in zip(names, codes, strict=True):
        head = table.head(name, NOW)
        assert head is not None
        assert (head[0] == "damaged") == (code not in ("", "other_model"))
        assert head[6] == (code == "other_model")
    return codes


def is_whole(known: Record) -> bool:
    numbers = (known.time, known.created, known.updated)
    return known.seq < 2**63 - 1 and all(math.isfinite(number) for number in numbers)


def expected_code(data: bytes) -> str:
    try:
        known = record.decode(data)
    except RecordError as error:
        return error.code
    if known.fingerprint != PRINT:
        return "other_model" if is_whole(known) else "record_damaged"
    sizes = (len(known.hidden), len(known.encoder))
    if known.status == "live" and sizes != (MODEL.state_size, SCHEMA.state_size):
        return "other_size"
    fitting = all(len(stored.answer) == ANSWER_SIZE for stored in known.answers)
    return "" if is_whole(known) and fitting else "record_damaged"


def resealed(body: bytes) -> bytes:
    """A record's bytes before its checksum, with length and checksum put right."""
    body = body[:8] + struct.pack("<Q", len(body) + 4) + body[16:]
    return body + struct.pack("<I", crc32c(body))


def only(group: core.Group) -> bytes:
    [(key, value)] = group.items()
    assert key == PREFIX + b"s"
    assert value is not None
    return value


@settings(deadline=None, max_examples=150)
@given(records)
def test_bytes_are_those_of_the_codec_both_ways(known: Record) -> None:
    table = new_table(tombstone_seconds=math.inf)
    whole = record.encode(known)
    assert table.load(["s"], [whole]) == [0]
    assert table.head("s", NOW) == (
        *(known.status, known.seq, known.time, known.created, known.updated),
        *(known.model_version, False),
    )
    version = "" if known.model_version == VERSION else known.model_version
    assert table.kept("s") == [
        (
            each.seq,
            each.payload_hash,
            each.time,
            each.answer,
            each.reset,
            each.model_version or version,
        )
        for each in known.answers
    ]
    if known.status == "live":
        encoder, hidden = table.states("s")
        assert (encoder.tobytes(), hidden.tobytes()) == (
            known.encoder.tobytes(),
            known.hidden.tobytes(),
        )
    group = core.Group()
    if process(table, [Sent("s")], NOW, group=group, ticket=1).changed:
        value = only(group)
        found = record.decode(value)
        assert (found.seq, len(found.answers)) == (known.seq + 1, len(known.answers) + 1)
        encoder, hidden = table.states("s")
        wanted = stepped(known, found.answers[-1], VERSION, NOW, Limits())
        wanted = msgspec.structs.replace(wanted, encoder=encoder, hidden=hidden)
        assert value == record.encode(wanted)
        assert crc32c(value) == CRC
        known = wanted
    if known.status != "deleted":
        group = core.Group()
        assert table.delete("s", NOW, group, 1)
        assert only(group) == record.encode(tombstone(known, NOW))


@settings(deadline=None, max_examples=30)
@given(records)
def test_all_records_have_the_same_crc(known: Record) -> None:
    assert crc32c(record.encode(known)) == CRC


def test_sections_left_out_are_empty() -> None:
    bare = msgspec.structs.replace(SMALL, answer_state=b"", answers=(), events=())
    table, group = new_table(), core.Group()
    assert table.load(["s"], [record.encode(bare)]) == [0]
    process(table, [Sent("s")], NOW, group=group, ticket=1)
    found = record.decode(only(group))
    assert (found.answer_state, found.events, found.unknown) == (b"", (), ())


def test_a_store_finds_what_a_table_wrote_whole(tmp_path: Path) -> None:
    """The table says the checksum of a record to the store without looking at its bytes."""
    table, group = new_table(), core.Group()
    names = [f"s{i}" for i in range(40)]
    events = [Sent(name) for name in names]
    process(table, [*events, *events[::2], Sent("s1", end=True)], NOW, group=group, ticket=1)
    assert table.delete("s2", NOW, group, 1)
    wanted = {key: value for key, value in group.items() if value is not None}
    assert len(wanted) == 40
    with closing(LogStore(tmp_path / "store")) as store:
        store.wait(store.append(group))
        assert store.get(list(wanted)) == list(wanted.values())
    assert contents(tmp_path / "store") == wanted
    assert verify(tmp_path / "store").damaged == []


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({}, ""),
        ({"fingerprint": bytes(32)}, "other_model"),
        ({"fingerprint": bytes(32), "hidden": NO_HIDDEN}, "other_model"),
        ({"fingerprint": bytes(32), "time": math.inf}, "record_damaged"),
        ({"hidden": np.zeros(4, dtype=np.float32)}, "other_size"),
        ({"encoder": np.zeros(0)}, "other_size"),
        ({"status": "ended", "encoder": NO_ENCODER, "hidden": NO_HIDDEN}, ""),
        ({"unknown": ((4000, b"later"),)}, ""),
        ({"unknown": ((0, b""),)}, ""),
        ({"seq": 2**63 - 1}, "record_damaged"),
        ({"answers": (StoredAnswer(3, 1, 60.0, b"{}"),)}, "record_damaged"),
    ],
)
def test_whole_records_that_do_not_fit_are_told(changed: dict[str, Any], code: str) -> None:
    data = record.encode(msgspec.structs.replace(SMALL, **changed))
    assert codes_of([WHOLE, data]) == ["", code]
    assert expected_code(data) == code


def test_every_flipped_bit_and_every_truncation() -> None:
    damaged = [WHOLE[:size] for size in range(len(WHOLE))]
    damaged += [
        WHOLE[:at] + bytes([byte ^ 1 << bit]) + WHOLE[at + 1 :]
        for at, byte in enumerate(WHOLE)
        for bit in range(8)
    ]
    codes = codes_of(damaged)
    assert codes == [expected_code(data) for data in damaged]
    assert "" not in codes


def test_every_byte_changed_and_sealed_again() -> None:
    body = WHOLE[:-4]
    changed = [
        resealed(body[:at] + bytes([byte ^ flipped]) + body[at + 1 :])
        for at, byte in enumerate(body)
        for flipped in (1, 0x80, 0xFF)
    ]
    codes = codes_of(changed)
    assert codes == [expected_code(data) for data in changed]
    assert {"", "other_model", "record_version", "record_damaged"} <= set(codes)


telling = st.sampled_from([0, 1, 2, 4, 8, 9, 31, 32, 33, 255, 256, 2**16, 2**31, 2**32 - 1])


@settings(deadline=None, max_examples=300)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("put u32"), st.integers(0, len(WHOLE) // 4), telling),
            st.tuples(st.just("put byte"), st.integers(0, len(WHOLE)), st.integers(0, 255)),
            st.tuples(st.just("cut"), st.integers(0, len(WHOLE)), st.integers(0, 40)),
            st.tuples(st.just("repeat"), st.integers(0, len(WHOLE) // 8), st.integers(0, 9)),
        ),
        max_size=3,
    ),
    st.booleans(),
)
def test_damage_is_refused_as_the_codec_refuses_it(
    changes: list[tuple[str, int, int]], sealed: bool
) -> None:
    body = bytearray(WHOLE[:-4] if sealed else WHOLE)
    for kind, at, value in changes:
        if kind == "put u32":
            body[4 * at : 4 * at + 4] = struct.pack("<I", value)
        elif kind == "put byte":
            body[at : at + 1] = bytes([value])
        elif kind == "cut":
            del body[at : at + value]
        else:
            body[8 * at : 8 * at] = body[8 * at : 8 * (at + value)]
    data = resealed(bytes(body)) if sealed and len(body) >= 16 else bytes(body)
    assert codes_of([data]) == [expected_code(data)]


def sections_of(data: bytes) -> list[tuple[int, bytes]]:
    found, at = [], 16
    while at < len(data) - 4:
        kind, size = struct.unpack_from("<II", data, at)
        found.append((kind, data[at + 8 : at + 8 + size]))
        at += 8 + size + -size % 8
    return found


def joined(sections: Iterable[tuple[int, bytes]]) -> bytes:
    sections = list(sections)
    body = WHOLE[:6] + struct.pack("<H", len(sections)) + bytes(8)
    for kind, data in sections:
        body += struct.pack("<II", kind, len(data)) + data + bytes(-len(data) % 8)
    return resealed(body)


def test_sections_that_are_moved_missing_twice_or_of_a_wrong_size() -> None:
    sections = sections_of(WHOLE)
    assert joined(sections) == WHOLE
    changed = []
    for i, (kind, data) in enumerate(sections):
        others = sections[:i] + sections[i + 1 :]
        changed += [
            others,
            [*others, (kind, data)],
            [*sections, (kind, data)],
            [(kind + 8, data), *others],
            *([*sections[:i], (kind, data[:n]), *sections[i + 1 :]] for n in range(len(data))),
            *([*sections[:i], (kind, data + bytes(n)), *sections[i + 1 :]] for n in (1, 4, 8)),
        ]
    whole = [joined(each) for each in changed]
    codes = codes_of(whole)
    assert codes == [expected_code(data) for data in whole]
    assert set(codes) == {"", "record_damaged", "other_size"}


@pytest.mark.parametrize("section", [4, 7])
def test_versions_that_are_no_utf8(section: int) -> None:
    """A model's version, and an answer's: any bytes that could be near to UTF-8."""
    edges = bytes.fromhex("00417f808f909fa0bfc0c1c2dfe0e1ecedeeeff0f1f3f4f5ff")
    sizes = (1, 2, 3) if section == 4 else (1, 2)
    texts = [bytes(text) for size in sizes for text in product(edges, repeat=size)]
    texts += [
        bytes(text) for text in product(b"\xed\xf0\xf1\xf4\xf5", edges, b"\x7f\x80\xbf", edges)
    ]
    sections = sections_of(WHOLE)
    data = []
    for text in texts:
        if section == 4:
            changed = PRINT + text
        else:
            row = struct.pack("<QQdII", 1, 1, 0.0, ANSWER_SIZE, len(text) << 8)
            changed = struct.pack("<II", 1, 0) + row + text + bytes(ANSWER_SIZE)
        data.append(joined([*sections[: section - 1], (section, changed), *sections[section:]]))
    for text, code in zip(texts, codes_of(data), strict=True):
        try:
            text.decode()
        except UnicodeDecodeError:
            assert code == "record_damaged", text
        else:
            assert code == "", text

"""Records of many sessions at once against the codec."""

from __future__ import annotations

import struct
from itertools import product
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tidegate import record
from tidegate._core import RECORD_CODES, Arena
from tidegate.core import crc32c
from tidegate.errors import RecordError
from tidegate.record import Record, StoredAnswer

FINGERPRINT = bytes(range(32))
STATUSES = ("live", "ended", "deleted", "expired")

u64 = st.integers(0, 2**64 - 1)
small_bytes = st.binary(max_size=40)
answers = st.builds(
    StoredAnswer, u64, u64, st.floats(), small_bytes, st.text(max_size=9), st.booleans()
)


@st.composite
def records(draw: st.DrawFn, hidden_size: int, encoder_size: int, version: str) -> Record:
    return Record(
        status=draw(st.sampled_from(STATUSES)),
        fingerprint=FINGERPRINT,
        model_version=version,
        seq=draw(u64),
        time=draw(st.floats()),
        created=draw(st.floats()),
        updated=draw(st.floats()),
        encoder=draw(hnp.arrays(np.float64, encoder_size)),
        hidden=draw(hnp.arrays(np.float32, hidden_size)),
        answer_state=draw(small_bytes),
        answers=tuple(draw(st.lists(answers, max_size=3))),
        events=tuple(draw(st.lists(small_bytes, max_size=3))),
    )


@st.composite
def batches(draw: st.DrawFn) -> list[Record]:
    """Records of one arena and one model version."""
    one = records(draw(st.integers(1, 20)), draw(st.integers(0, 4)), draw(st.text(max_size=9)))
    return draw(st.lists(one, min_size=1, max_size=4))


SMALL = Record(
    status="live",
    fingerprint=FINGERPRINT,
    model_version="v2",
    seq=3,
    time=60.0,
    created=0.5,
    updated=61.0,
    encoder=np.array([1.5, np.nan]),
    hidden=np.array([0.25, -1.0, 2.0], dtype=np.float32),
    answer_state=b"xyz",
    answers=(StoredAnswer(2, 7, 30.0, b"{}", "v1"), StoredAnswer(3, 2**64 - 1, 60.0, b'{"a":1}')),
    events=(b"e", b"vent"),
)


def arena_for(known: Record) -> Arena:
    return Arena(len(known.hidden), len(known.encoder))


def ids(n: int) -> list[str]:
    return [f"session-{i}" for i in range(n)]


def code_of(arena: Arena, data: bytes) -> str:
    return RECORD_CODES[arena.import_records(["a"], [data], FINGERPRINT)[0][0]]


def resealed(body: bytes) -> bytes:
    """A record's bytes before its checksum, with length and checksum put right."""
    body = body[:8] + struct.pack("<Q", len(body) + 4) + body[16:]
    return body + struct.pack("<I", crc32c(body))


@settings(deadline=None, max_examples=80)
@given(batches())
def test_bytes_are_those_of_the_codec_both_ways(batch: list[Record]) -> None:
    arena = arena_for(batch[0])
    sessions, data = ids(len(batch)), [record.encode(known) for known in batch]
    codes, seqs, times, statuses, spans = arena.import_records(sessions, data, FINGERPRINT)
    assert codes.tolist() == [0] * len(batch)
    assert seqs.tolist() == [known.seq for known in batch]
    wanted = np.array([(known.time, known.created, known.updated) for known in batch])
    assert times.tobytes() == wanted.tobytes()
    assert [STATUSES[code] for code in statuses] == [known.status for known in batch]
    sections: list[list[bytes]] = []
    for session, known, whole, places in zip(sessions, batch, data, spans.tolist(), strict=True):
        encoder, hidden = arena.export_state(session)
        assert encoder.tobytes() == known.encoder.tobytes()
        assert hidden.tobytes() == known.hidden.tobytes()
        version, *others = (whole[start:end] for start, end in places)
        assert version.decode() == known.model_version
        assert others[0] == known.answer_state
        sections.append(others)
    again = arena.export_records(
        *(sessions, FINGERPRINT, batch[0].model_version, seqs, times, statuses),
        *zip(*sections, strict=True),
    )
    assert again == data


def test_sections_left_out_are_empty() -> None:
    bare = msgspec.structs.replace(SMALL, answer_state=b"", answers=(), events=())
    arena = arena_for(bare)
    arena.import_state("a", bare.encoder, bare.hidden)
    head = (np.array([3], np.uint64), np.array([[60.0, 0.5, 61.0]]), np.zeros(1, np.uint8))
    for sections in ((), ([b""], [b""], [b""])):
        assert arena.export_records(["a"], FINGERPRINT, "v2", *head, *sections) == [
            record.encode(bare)
        ]


def test_sessions_are_exported_in_the_order_asked_for() -> None:
    arena = arena_for(SMALL)
    arena.import_records(["b", "a"], [record.encode(SMALL)] * 2, FINGERPRINT)
    arena.import_state("a", SMALL.encoder, -SMALL.hidden)
    rows = (np.arange(3, dtype=np.uint64), np.zeros((3, 3)), np.zeros(3, np.uint8))
    found = arena.export_records(["a", "b", "a"], FINGERPRINT, "v2", *rows)
    assert [record.decode(data).hidden[2] for data in found] == [-2.0, 2.0, -2.0]
    assert [record.decode(data).seq for data in found] == [0, 1, 2]


def test_a_record_of_the_store_is_clean_and_replaces() -> None:
    arena = arena_for(SMALL)
    arena.import_state("a", np.zeros(2), np.zeros(3, dtype=np.float32))
    assert arena.dirty() == ["a"]
    arena.import_records(["a"], [record.encode(SMALL)], FINGERPRINT)
    assert arena.export_state("a")[1].tolist() == SMALL.hidden.tolist()
    assert arena.dirty() == []


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"fingerprint": bytes(32)}, "other_model"),
        ({"hidden": np.zeros(4, dtype=np.float32)}, "other_size"),
        ({"encoder": np.zeros(0)}, "other_size"),
        ({"unknown": ((4000, b"later"),)}, "other_sections"),
        ({"unknown": ((0, b""),)}, "other_sections"),
    ],
)
def test_whole_records_that_do_not_fit_are_told(changed: dict[str, Any], code: str) -> None:
    arena = arena_for(SMALL)
    data = [record.encode(SMALL), record.encode(msgspec.structs.replace(SMALL, **changed))]
    codes, seqs, times, statuses, spans = arena.import_records(ids(2), data, FINGERPRINT)
    assert [RECORD_CODES[each] for each in codes] == ["", code]
    assert seqs.tolist() == [3, 3]
    assert times.tolist() == [[60.0, 0.5, 61.0]] * 2
    assert statuses.tolist() == [0, 0]
    assert data[1][slice(*spans[1, 0])] == b"v2"
    assert len(arena) == 1


def expected_code(data: bytes) -> str:
    try:
        known = record.decode(data)
    except RecordError as error:
        return error.code
    if known.fingerprint != FINGERPRINT:
        return "other_model"
    if (len(known.hidden), len(known.encoder)) != (len(SMALL.hidden), len(SMALL.encoder)):
        return "other_size"
    return "other_sections" if known.unknown else ""


WHOLE = record.encode(SMALL)
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
    arena = arena_for(SMALL)
    code = code_of(arena, data)
    assert code == expected_code(data)
    assert len(arena) == (code == "")


def sections_of(data: bytes) -> list[tuple[int, bytes]]:
    found, at = [], 16
    while at < len(data) - 4:
        kind, size = struct.unpack_from("<II", data, at)
        found.append((kind, data[at + 8 : at + 8 + size]))
        at += 8 + size + -size % 8
    return found


def joined(sections: list[tuple[int, bytes]]) -> bytes:
    body = WHOLE[:6] + struct.pack("<H", len(sections)) + bytes(8)
    for kind, data in sections:
        body += struct.pack("<II", kind, len(data)) + data + bytes(-len(data) % 8)
    return resealed(body)


def test_sections_that_are_moved_missing_twice_or_of_a_wrong_size() -> None:
    sections = sections_of(WHOLE)
    assert joined(sections) == WHOLE
    arena = arena_for(SMALL)
    seen = set()
    for i, (kind, data) in enumerate(sections):
        others = sections[:i] + sections[i + 1 :]
        for changed in (
            others,
            [*others, (kind, data)],
            [*sections, (kind, data)],
            [(kind + 8, data), *others],
            *([*sections[:i], (kind, data[:n]), *sections[i + 1 :]] for n in range(len(data))),
            *([*sections[:i], (kind, data + bytes(n)), *sections[i + 1 :]] for n in (1, 4, 8)),
        ):
            whole = joined(changed)
            code = code_of(arena, whole)
            assert code == expected_code(whole)
            seen.add(code)
    assert seen == {"", "record_damaged", "other_size"}


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
            changed = FINGERPRINT + text
        else:
            row = struct.pack("<QQdII", 1, 1, 0.0, 2, len(text) << 8)
            changed = struct.pack("<II", 1, 0) + row + text + b"{}"
        data.append(joined([*sections[: section - 1], (section, changed), *sections[section:]]))
    codes = arena_for(SMALL).import_records(["a"] * len(data), data, FINGERPRINT)[0]
    for text, code in zip(texts, codes, strict=True):
        try:
            text.decode()
        except UnicodeDecodeError:
            assert RECORD_CODES[code] == "record_damaged", text
        else:
            assert code == 0, text


def test_bad_arguments_change_nothing() -> None:
    arena = arena_for(SMALL)
    arena.import_records(["a"], [WHOLE], FINGERPRINT)
    good: dict[str, Any] = {
        "sessions": ["a"],
        "fingerprint": FINGERPRINT,
        "model_version": "v2",
        "seqs": np.zeros(1, np.uint64),
        "times": np.zeros((1, 3)),
        "statuses": np.zeros(1, np.uint8),
    }
    assert len(arena.export_records(**good)) == 1
    for changed, error in (
        ({"sessions": ["b"]}, KeyError),
        ({"sessions": ["a", "a"]}, ValueError),
        ({"fingerprint": bytes(31)}, ValueError),
        ({"seqs": np.zeros(2, np.uint64)}, ValueError),
        ({"times": np.zeros((2, 3))}, ValueError),
        ({"times": np.zeros((1, 2))}, TypeError),
        ({"statuses": np.zeros(0, np.uint8)}, ValueError),
        ({"statuses": np.full(1, 4, np.uint8)}, ValueError),
        ({"answers": []}, ValueError),
        ({"events": ["text"]}, ValueError),
    ):
        with pytest.raises(error):
            arena.export_records(**{**good, **changed})
    for records, fingerprint in (([], FINGERPRINT), (["x"], FINGERPRINT), ([WHOLE], b"")):
        with pytest.raises(ValueError, match=r"records|fingerprint"):
            arena.import_records(["b"], records, fingerprint)  # type: ignore[arg-type]
    assert arena.dirty() == []
    assert len(arena) == 1

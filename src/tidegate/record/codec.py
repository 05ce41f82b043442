"""The codec of records, format 1.

All numbers are little-endian: ``u`` is an unsigned integer, ``f`` an IEEE 754 number, ``B`` a byte.
Offsets count from the first byte of the record. A record is a header, sections, and a checksum.

====== ===== =======================================================================================
offset type  header
====== ===== =======================================================================================
0      4 B   magic, ``tgRC``
4      u16   format, 1. It stays here in every format, so that a newer record is recognised
6      u16   number of sections
8      u64   total length in bytes, from the magic to the end of the checksum
====== ===== =======================================================================================

The first section begins at offset 16. Each is

======== ===== =====================================================================================
offset   type  section
======== ===== =====================================================================================
+0       u32   section type
+4       u32   n, length of the data in bytes
+8       n B   data; it begins at a multiple of 8
+8+n     0-7 B zeros, up to the next multiple of 8, where the next section or the checksum begins
======== ===== =====================================================================================

The checksum ends the record: a u32, the CRC-32C (Castagnoli) of every byte before it. So the
CRC-32C of a whole record is always the same number, 0x48674bc7.

Types 1 to 8 occur exactly once each; a writer puts them first, in this order, so that the hidden
state always begins at offset 64. Sections of other types follow; readers that do not know them keep
them. Readers take sections in any order, but refuse hidden data that is not at a multiple of 64.

==== ============ ==================================================================================
type section      data
==== ============ ==================================================================================
1    session      u64 seq; f64 effective time of the last event; f64 created; f64 updated. 32 bytes
2    hidden       f32 each: layers in spec order, an LSTM's h and then its c
3    status       u32: 0 live, 1 ended, 2 deleted, 3 expired
4    model        32 B fingerprint of the bundle; then its version, UTF-8
5    encoder      f64 each: the schema's state, NaN for what is absent
6    answer_state bytes of the task
7    answers      u32 k; u32 zero; k rows of (u64 seq, u64 payload hash, f64 effective time,
                  u32 length, u32 more), oldest first; then the k answers, end to end, each a
                  version and then the head's outputs, f32 each, of that length in bytes. more: bit
                  0, the session was reset by this event; bits 8 to 31, bytes of the version (UTF-8;
                  0: it is the record's)
8    events       u32 n; n times u32 length, oldest first; then the n raw events, end to end
==== ============ ==================================================================================

Equal records have equal bytes. Decoding and encoding again gives the same bytes, except that
unknown sections move behind the known ones.
"""

from __future__ import annotations

import struct
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from tidegate.core import crc32c
from tidegate.errors import InputError, RecordError
from tidegate.record.record import Record, Status, StoredAnswer

__all__ = ["FORMAT", "decode", "encode"]

FORMAT = 1
"""The format that is written, and the newest that is read."""

_MAGIC = b"tgRC"
_SESSION, _HIDDEN, _STATUS, _MODEL, _ENCODER, _ANSWER_STATE, _ANSWERS, _EVENTS = range(1, 9)
_NAMES = {
    _SESSION: "session",
    _HIDDEN: "hidden",
    _STATUS: "status",
    _MODEL: "model",
    _ENCODER: "encoder",
    _ANSWER_STATE: "answer_state",
    _ANSWERS: "answers",
    _EVENTS: "events",
}
_STATUSES: tuple[Status, ...] = ("live", "ended", "deleted", "expired")
"""By their number in a record."""

_STATUS_DATA = {status: struct.pack("<I", code) for code, status in enumerate(_STATUSES)}

_HEADER_TYPES, _SECTION_TYPES, _SESSION_TYPES = "4sHHQ", "II", "Qddd"
_HEADER = struct.Struct("<" + _HEADER_TYPES)
_SECTION_HEADER = struct.Struct("<" + _SECTION_TYPES)
_SESSION_DATA = struct.Struct("<" + _SESSION_TYPES)
# All that stands before the hidden state: 64 bytes, which is what aligns it.
_FRONT = struct.Struct(f"<{_HEADER_TYPES}{_SECTION_TYPES}{_SESSION_TYPES}{_SECTION_TYPES}")
_ANSWERS_HEAD = struct.Struct("<II")
_ANSWER_ROW = struct.Struct("<QQdII")
_U32 = struct.Struct("<I")

_T = TypeVar("_T", np.float32, np.float64)
_F32, _F64 = np.dtype("<f4"), np.dtype("<f8")
_FINGERPRINT_SIZE = 32
_HIDDEN_ALIGNMENT = 64
_PADDING = tuple(bytes(n) for n in range(8))

_RESTORE = "restore the store from a backup, or delete the session and begin it anew"


def encode(record: Record) -> bytes:
    """Turn a record into bytes.

    Parameters
    ----------
    record : Record
        What to write.

    Returns
    -------
    bytes
        The record in format 1, with its checksum.

    Raises
    ------
    InputError
        ``bad_record``: a member has a type or a size that the format cannot hold.

    Examples
    --------
    >>> import numpy as np
    >>> record = Record("live", bytes(32), "1", 7, 60.0, 0.0, 60.5, encoder=np.array([np.nan]),
    ...                 hidden=np.array([0.5, -0.25], dtype=np.float32))
    >>> data = encode(record)
    >>> len(data), decode(data).seq, decode(data).hidden
    (196, 7, array([ 0.5 , -0.25], dtype=float32))
    """
    if len(record.fingerprint) != _FINGERPRINT_SIZE:
        raise _unfit("fingerprint", f"{len(record.fingerprint)} bytes", "it has 32 bytes")
    if any(kind in _NAMES for kind, _ in record.unknown):
        raise _unfit("unknown", "a known section", "types 1 to 8 have members of their own")
    hidden = _float_bytes(record.hidden, _F32, "hidden")
    encoder = _float_bytes(record.encoder, _F64, "encoder")
    try:
        sections = (
            (_STATUS, _STATUS_DATA[record.status]),
            (_MODEL, record.fingerprint + record.model_version.encode()),
            (_ENCODER, encoder),
            (_ANSWER_STATE, record.answer_state),
            (_ANSWERS, _encode_answers(record.answers)),
            (_EVENTS, _encode_events(record.events)),
            *record.unknown,
        )
        parts = [hidden, _PADDING[-len(hidden) % 8]]
        for kind, data in sections:
            parts += (_SECTION_HEADER.pack(kind, len(data)), data, _PADDING[-len(data) % 8])
        rest = b"".join(parts)
        front = _FRONT.pack(
            *(_MAGIC, FORMAT, len(sections) + 2, _FRONT.size + len(rest) + _U32.size),
            *(_SESSION, _SESSION_DATA.size),
            *(record.seq, record.time, record.created, record.updated),
            *(_HIDDEN, len(hidden)),
        )
    except (KeyError, UnicodeEncodeError, struct.error) as error:
        raise _unfit(
            None,
            f"{type(error).__name__}: {error}",
            "status is live, ended, deleted or expired; seq and payload hashes are unsigned 64-bit "
            "numbers, lengths and types of sections 32-bit ones; the version is text",
        ) from error
    body = front + rest
    return body + _U32.pack(crc32c(body))


def decode(data: bytes) -> Record:
    """Turn bytes into a record, after checking every one of them.

    Parameters
    ----------
    data : bytes
        A whole record, as `encode` made it.

    Returns
    -------
    Record
        Its arrays are read-only views into `data`, which stays alive as long as they do. Copy them
        to change them.

    Raises
    ------
    RecordError
        The bytes are not a record, and nothing else is ever raised for any bytes.
        ``record_truncated``, ``record_trailing``: too few bytes, or too many.
        ``record_magic``: something else than a record.
        ``record_version``: written by a newer tidegate.
        ``record_checksum``: some byte has changed.
        ``record_damaged``: the checksum holds, but the section in `field` breaks the format.

    Examples
    --------
    >>> decode(b"tgRC" + bytes(40))
    Traceback (most recent call last):
        ...
    tidegate.errors.RecordError: format 0 is none that was ever written (record_damaged); ...
    """
    known, unknown = _sections(data, _section_count(data))
    seq, time, created, updated = _SESSION_DATA.unpack_from(data, known[_SESSION][0])
    fingerprint, model_version = _decode_model(data, *known[_MODEL])
    start, end = known[_ANSWER_STATE]
    return Record(
        status=_decode_status(data, *known[_STATUS]),
        fingerprint=fingerprint,
        model_version=model_version,
        seq=seq,
        time=time,
        created=created,
        updated=updated,
        encoder=_floats(data, *known[_ENCODER], _F64, "encoder"),
        hidden=_floats(data, *known[_HIDDEN], _F32, "hidden"),
        answer_state=data[start:end],
        answers=_decode_answers(data, *known[_ANSWERS]),
        events=_decode_events(data, *known[_EVENTS]),
        unknown=unknown,
    )


def _float_bytes(values: NDArray[_T], dtype: np.dtype[_T], name: str) -> bytes:
    if values.dtype != dtype or values.ndim != 1:
        wrong = f"{values.dtype} of shape {values.shape}"
        raise _unfit(name, wrong, f"it is a vector of {dtype.name}")
    return values.tobytes()


def _encode_answers(answers: tuple[StoredAnswer, ...]) -> bytes:
    parts, data = [_ANSWERS_HEAD.pack(len(answers), 0)], []
    for stored in answers:
        answer, more = stored.answer, int(stored.reset)
        if stored.model_version:
            version = stored.model_version.encode()
            more |= len(version) << 8
            data.append(version)
        parts.append(
            _ANSWER_ROW.pack(stored.seq, stored.payload_hash, stored.time, len(answer), more)
        )
        data.append(answer)
    return b"".join(parts + data)


def _encode_events(events: tuple[bytes, ...]) -> bytes:
    lengths = struct.pack(f"<{1 + len(events)}I", len(events), *map(len, events))
    return b"".join([lengths, *events])


def _section_count(data: bytes) -> int:
    """Check the header and the checksum; return how many sections there are."""
    size = len(data)
    if size < _HEADER.size + _U32.size:
        raise RecordError("record_truncated", f"{size} bytes are no whole record", hint=_RESTORE)
    magic, version, count, total = _HEADER.unpack_from(data)
    if magic != _MAGIC:
        raise RecordError("record_magic", f"{magic!r} does not begin a record", hint=_RESTORE)
    if version > FORMAT:
        raise RecordError(
            "record_version",
            f"the record has format {version}; this tidegate reads up to {FORMAT}",
            hint="it was written by a newer tidegate: run that version or a later one",
        )
    if version < 1:
        raise _damaged(None, f"format {version} is none that was ever written")
    if size != total:
        code = "record_truncated" if size < total else "record_trailing"
        raise RecordError(code, f"{size} bytes of a record of {total}", hint=_RESTORE)
    if crc32c(data[: -_U32.size]) != _U32.unpack_from(data, size - _U32.size)[0]:
        raise RecordError("record_checksum", "the record's bytes have changed", hint=_RESTORE)
    return int(count)


def _sections(
    data: bytes, count: int
) -> tuple[dict[int, tuple[int, int]], tuple[tuple[int, bytes], ...]]:
    """Return where the data of each known section begins and ends, and the unknown sections."""
    known: dict[int, tuple[int, int]] = {}
    unknown: list[tuple[int, bytes]] = []
    at, limit = _HEADER.size, len(data) - _U32.size
    for number in range(count):
        start = at + _SECTION_HEADER.size
        if start > limit:
            raise _damaged(None, f"{count} sections are announced, {number} are there")
        kind, length = _SECTION_HEADER.unpack_from(data, at)
        end = start + length
        at = end + -length % 8
        if at > limit:
            raise _damaged(_name(kind), f"its {length} bytes run over the record's end")
        if end < at and any(data[end:at]):
            raise _damaged(_name(kind), "the bytes after it are not zero")
        if kind not in _NAMES:
            unknown.append((kind, data[start:end]))
        elif kind in known:
            raise _damaged(_name(kind), "there is a second one")
        else:
            known[kind] = (start, end)
    if at != limit:
        raise _damaged(None, f"{limit - at} bytes stand after the last section")
    if len(known) < len(_NAMES):
        missing = next(kind for kind in _NAMES if kind not in known)
        raise _damaged(_name(missing), "it is missing")
    _check_fixed_places(known)
    return known, tuple(unknown)


def _name(kind: int) -> str:
    return _NAMES.get(kind, f"section {kind}")


def _check_fixed_places(known: dict[int, tuple[int, int]]) -> None:
    start, end = known[_SESSION]
    if end - start != _SESSION_DATA.size:
        raise _damaged("session", f"{end - start} bytes instead of {_SESSION_DATA.size}")
    start, _ = known[_HIDDEN]
    if start % _HIDDEN_ALIGNMENT:
        raise _damaged("hidden", f"it begins at {start}, not at a multiple of {_HIDDEN_ALIGNMENT}")


def _floats(data: bytes, start: int, end: int, dtype: np.dtype[_T], name: str) -> NDArray[_T]:
    count, rest = divmod(end - start, dtype.itemsize)
    if rest:
        raise _damaged(name, f"{end - start} bytes are no whole number of {dtype.name}")
    return np.frombuffer(data, dtype, count, start)


def _decode_status(data: bytes, start: int, end: int) -> Status:
    if end - start != _U32.size:
        raise _damaged("status", f"{end - start} bytes instead of {_U32.size}")
    code: int = _U32.unpack_from(data, start)[0]
    if code >= len(_STATUSES):
        raise _damaged("status", f"{code} is no status")
    return _STATUSES[code]


def _decode_model(data: bytes, start: int, end: int) -> tuple[bytes, str]:
    middle = start + _FINGERPRINT_SIZE
    if middle > end:
        raise _damaged("model", f"{end - start} bytes hold no fingerprint")
    try:
        return data[start:middle], data[middle:end].decode()
    except UnicodeDecodeError as error:
        raise _damaged("model", "the version is not UTF-8") from error


def _decode_answers(data: bytes, start: int, end: int) -> tuple[StoredAnswer, ...]:
    rows = start + _ANSWERS_HEAD.size
    if rows > end:
        raise _damaged("answers", f"{end - start} bytes hold no count")
    count, zero = _ANSWERS_HEAD.unpack_from(data, start)
    at = rows + count * _ANSWER_ROW.size
    if at > end:
        raise _damaged("answers", f"{end - start} bytes do not hold {count} answers")
    answers = []
    for seq, payload_hash, time, length, more in _ANSWER_ROW.iter_unpack(data[rows:at]):
        version = at + (more >> 8)
        try:
            model_version = data[at:version].decode()
        except UnicodeDecodeError as error:
            raise _damaged("answers", f"the version of seq {seq} is not UTF-8") from error
        at = version + length
        answer = data[version:at]
        answers.append(StoredAnswer(seq, payload_hash, time, answer, model_version, bool(more & 1)))
        zero |= more & 0xFE
    if at != end:
        raise _damaged("answers", f"they end at {at}, the section at {end}")
    if zero:
        raise _damaged("answers", "reserved bits are not zero")
    return tuple(answers)


def _decode_events(data: bytes, start: int, end: int) -> tuple[bytes, ...]:
    if start + _U32.size > end:
        raise _damaged("events", f"{end - start} bytes hold no count")
    (count,) = _U32.unpack_from(data, start)
    lengths = start + _U32.size
    at = lengths + count * _U32.size
    if at > end:
        raise _damaged("events", f"{end - start} bytes do not hold {count} events")
    events = []
    for length in struct.unpack_from(f"<{count}I", data, lengths):
        events.append(data[at : at + length])
        at += length
    if at != end:
        raise _damaged("events", f"they end at {at}, the section at {end}")
    return tuple(events)


def _damaged(section: str | None, message: str) -> RecordError:
    return RecordError("record_damaged", message, field=section, hint=_RESTORE)


def _unfit(field: str | None, message: str, hint: str) -> InputError:
    return InputError("bad_record", f"{message} does not fit a record", field=field, hint=hint)

"""Records of many sessions at once, straight from and to an arena's memory.

The C core writes and reads the bytes and the states. The few records that it leaves alone (sections
of other types, other models, damage) go through `tidegate.record`, one by one.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from tidegate import core, record
from tidegate.errors import InputError, RecordError
from tidegate.record import Record, codec

__all__ = ["Imported", "read", "write"]

_NO_ENCODER = np.empty(0, dtype=np.float64)
_NO_HIDDEN = np.empty(0, dtype=np.float32)
_NUMBERS = {status: number for number, status in enumerate(codec.STATUSES)}


@dataclass(frozen=True)
class Imported:
    """Records that were read, and those that were refused.

    Parameters
    ----------
    heads : list of Record or None
        Each record without its encoder and hidden state, which the engine has now; None where it is
        damaged. A whole record that was refused is here too.
    errors : dict of int to RecordError
        Refused records by position: the errors of `record.decode`; ``record_other_model``: a live
        session of another model; ``record_other_size``: of this model, with states that are not of
        its sizes.
    """

    heads: list[Record | None]
    errors: dict[int, RecordError]


def write(
    arena: core.Arena, fingerprint: bytes, sessions: Sequence[str], heads: Sequence[Record]
) -> list[bytes]:
    """Return records of sessions; see `Engine.export_records`."""
    _check(fingerprint, sessions, heads)
    for head in heads:
        if head.fingerprint != fingerprint:
            raise InputError(
                "record_other_model",
                f"a head has the fingerprint {_short(head.fingerprint)}, the engine's model "
                f"{_short(fingerprint)}",
                field="heads",
                hint="the engine's memory belongs to its own model: give heads that say so",
            )
    written: list[bytes] = [b""] * len(heads)
    together: dict[str, list[int]] = {}
    for i, head in enumerate(heads):
        if head.unknown:
            encoder, hidden = arena.export_state(sessions[i])
            written[i] = record.encode(
                msgspec.structs.replace(head, encoder=encoder, hidden=hidden)
            )
        else:
            together.setdefault(head.model_version, []).append(i)
    for version, places in together.items():
        found = _write_version(
            arena, fingerprint, version, [sessions[i] for i in places], [heads[i] for i in places]
        )
        for i, data in zip(places, found, strict=True):
            written[i] = data
    return written


def _write_version(
    arena: core.Arena,
    fingerprint: bytes,
    version: str,
    sessions: Sequence[str],
    heads: Sequence[Record],
) -> list[bytes]:
    try:
        version.encode()
        seqs = np.array([head.seq for head in heads], dtype=np.uint64)
        times = np.array([(head.time, head.created, head.updated) for head in heads], np.float64)
        statuses = np.array([_NUMBERS[head.status] for head in heads], dtype=np.uint8)
        answers = [codec.encode_answers(head.answers) if head.answers else b"" for head in heads]
        events = [codec.encode_events(head.events) if head.events else b"" for head in heads]
    except (KeyError, OverflowError, UnicodeEncodeError, struct.error) as error:
        raise codec.unfit(error) from error
    answer_states = [head.answer_state for head in heads]
    return arena.export_records(
        sessions, fingerprint, version, seqs, times, statuses, answer_states, answers, events
    )


def read(
    arena: core.Arena, fingerprint: bytes, sessions: Sequence[str], data: Sequence[bytes]
) -> Imported:
    """Put records' states into the arena; see `Engine.import_records`."""
    _check(fingerprint, sessions, data)
    if len(set(sessions)) != len(sessions):
        raise InputError(
            "repeated_session",
            "a session has several records",
            field="sessions",
            hint="give each session once",
        )
    codes, seqs, times, statuses, spans = arena.import_records(sessions, data, fingerprint)
    heads: list[Record | None] = []
    errors: dict[int, RecordError] = {}
    gone = []
    columns = (codes, seqs, times, statuses, spans)
    rows = zip(*(column.tolist() for column in columns), strict=True)
    for i, (code, seq, (time, created, updated), status, places) in enumerate(rows):
        head: Record | None
        if code:
            head, error = _read_alone(arena, fingerprint, sessions[i], data[i])
            if error:
                errors[i] = error
        else:
            version, answer_state, answers, events = places
            head = Record(
                status=codec.STATUSES[status],
                fingerprint=fingerprint,
                model_version=data[i][slice(*version)].decode(),
                seq=seq,
                time=time,
                created=created,
                updated=updated,
                encoder=_NO_ENCODER,
                hidden=_NO_HIDDEN,
                answer_state=data[i][slice(*answer_state)],
                answers=codec.decode_answers(data[i], *answers),
                events=codec.decode_events(data[i], *events),
            )
        if head is not None and head.status != "live":
            gone.append(sessions[i])
        heads.append(head)
    arena.drop(gone)
    return Imported(heads, errors)


def _read_alone(
    arena: core.Arena, fingerprint: bytes, session: str, data: bytes
) -> tuple[Record | None, RecordError | None]:
    """Read what the C core left alone: tombstones, unknown sections, and what is refused."""
    try:
        whole = record.decode(data)
    except RecordError as error:
        return None, error
    misfit = _misfit(arena, fingerprint, whole) if whole.status == "live" else None
    if whole.status == "live" and misfit is None:
        arena.import_state(session, whole.encoder, whole.hidden)
        arena.clean([session])
    return msgspec.structs.replace(whole, encoder=_NO_ENCODER, hidden=_NO_HIDDEN), misfit


def _misfit(arena: core.Arena, fingerprint: bytes, whole: Record) -> RecordError | None:
    if whole.fingerprint != fingerprint:
        return RecordError(
            "record_other_model",
            f"the record's model has the fingerprint {_short(whole.fingerprint)}, the engine's "
            f"{_short(fingerprint)}",
            hint="use the model that wrote it, or begin the session anew",
        )
    sizes = (len(whole.hidden), len(whole.encoder))
    wanted = (arena.hidden_size, arena.encoder_size)
    if sizes != wanted:
        return RecordError(
            "record_other_size",
            f"the record holds {sizes[0]} hidden and {sizes[1]} encoder values, the model has "
            f"{wanted[0]} and {wanted[1]}",
            hint="restore the store from a backup, or delete the session and begin it anew",
        )
    return None


def _check(fingerprint: bytes, sessions: Sequence[str], others: Sequence[object]) -> None:
    if not fingerprint:
        raise InputError(
            "no_fingerprint",
            "the engine's bundle was never saved, so no record can name its model",
            field="fingerprint",
            hint="save the bundle, and open an engine on what `bundle.save` returns",
        )
    if len(sessions) != len(others):
        raise InputError(
            "wrong_shape",
            f"there are {len(sessions)} sessions and {len(others)} records",
            field="sessions",
            hint="give one record a session",
        )


def _short(fingerprint: bytes) -> str:
    return fingerprint.hex()[:16] or "(none)"

"""Looking at every frame and every record of a store."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from tidegate import record
from tidegate.errors import InputError, RecordError
from tidegate.store.keys import split_session_key
from tidegate.store.log import LogStore

__all__ = ["Damage", "Report", "verify"]


class Damage(msgspec.Struct, frozen=True):
    """A place that is not as it was written.

    Parameters
    ----------
    file : str
        Its name in the folder.
    offset : int
        Of the frame, in bytes.
    session : list of str, optional
        Tenant, model and session of the record that it is in, where that can be told.
    what : str
        What is wrong.
    """

    file: str
    offset: int
    session: tuple[str, str, str] | None
    what: str


class Report(msgspec.Struct, frozen=True):
    """What is in a store.

    Parameters
    ----------
    frames : int
        In all segments, outdated ones among them.
    keys, sessions : int
        That have a value; and those of them that are sessions.
    damaged : list of Damage
        Empty: the store is as it was written.
    """

    frames: int
    keys: int
    sessions: int
    damaged: list[Damage]


def verify(path: Path, progress: Callable[[int, int], None] | None = None) -> Report:
    """Read every frame of a store and decode every current record. Nothing is changed.

    Parameters
    ----------
    path : Path
        The folder. A server may have it open.
    progress : callable, optional
        Is told how many keys were looked at, and of how many.

    Raises
    ------
    StoreError
        ``store_foreign``: there is no store. ``store_version``: it is of a newer tidegate.

    Notes
    -----
    A header that is damaged hides whose frame it was: its session may have an older state in the
    figures of this report, and none that counts.
    """
    store = LogStore(path, read_only=True, tolerant=True)
    try:
        stats = store.stats()
        damaged = [
            Damage(_name(segment), offset, None, what) for segment, offset, what in store.damages
        ]
        keys = sessions = 0
        for key, value, _kind, segment, offset, sound in store.frames():
            keys += 1
            session = _session(key)
            sessions += session is not None
            wrong = _wrong(session, value, sound)
            if wrong:
                damaged.append(Damage(_name(segment), offset, session, wrong))
            if progress and keys % 1000 == 0:
                progress(keys, stats.keys)
        return Report(stats.frames_scanned, keys, sessions, damaged)
    finally:
        store.close()


def _name(segment: int) -> str:
    return f"{segment:016}.log" if segment else "CURRENT"


def _session(key: bytes) -> tuple[str, str, str] | None:
    try:
        return split_session_key(key)
    except InputError:
        return None


def _wrong(session: tuple[str, str, str] | None, value: bytes, sound: bool) -> str:
    if not sound:
        return "its value is not as it was written"
    if session is not None:
        try:
            record.decode(value)
        except RecordError as error:
            return str(error)
    return ""

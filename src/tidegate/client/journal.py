"""What a client has to remember to go on after its own crash: the event that it was sending."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from io import FileIO
from pathlib import Path
from typing import Self

import msgspec

from tidegate import files
from tidegate.errors import InputError

__all__ = ["Journal", "Pending"]

_MOST_BYTES = 1 << 20


class Pending(msgspec.Struct, frozen=True):
    """An event that was sent, or was about to be, and has no answer yet."""

    seq: int
    body: bytes


class _Sent(msgspec.Struct, tag="sent"):
    model: str
    session: str
    seq: int
    body: msgspec.Raw


class _Settled(msgspec.Struct, tag="settled"):
    """Everything up to this number is answered: 0 before the first one, null where nobody knows."""

    seq: int | None


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Sent | _Settled).decode


class Journal:
    """A small file of lines, of which the last one counts.

    An event's line is synced before the event is sent. That it was answered need not be: an event
    that is sent again with its number is applied once.

    Parameters
    ----------
    path : str or Path
        The file; it is made if it is missing. One session has it, and one process at a time.
    model, session : str
        Whose it is.

    Raises
    ------
    InputError
        ``cannot_write`` (or read); ``wrong_journal``: the file is another session's, or no journal.
    """

    def __init__(self, path: str | Path, model: str, session: str) -> None:
        self._path, self._model, self._session = Path(path), model, session
        self._whole = False
        self._file: FileIO | None = None
        self.seq: int | None = None
        self.pending: Pending | None = None
        self._read()
        self._compact()  # a torn last line must not be written on

    def _read(self) -> None:
        if not self._path.exists():
            return
        with files.refusals(self._path):
            content = self._path.read_bytes()
        lines = content.split(b"\n")[:-1]  # a last line without its newline was not synced
        try:
            said = [_decode(line) for line in lines]
        except msgspec.MsgspecError:
            raise self._wrong("it is no journal of a session") from None
        for entry in said:
            if isinstance(entry, _Settled):
                self.seq, self.pending = entry.seq, None
            elif (entry.model, entry.session) != (self._model, self._session):
                raise self._wrong(f"it belongs to session {entry.session!r} of {entry.model!r}")
            else:
                self.seq = entry.seq - 1
                self.pending = Pending(entry.seq, bytes(entry.body))

    def _wrong(self, message: str) -> InputError:
        return InputError(
            "wrong_journal", message, field=str(self._path), hint="give each session its own file"
        )

    def begin(self, pending: Pending) -> None:
        """Remember an event, on disk, before it is sent.

        Raises
        ------
        InputError
            ``cannot_write``: the event must not be sent.
        """
        before, self.pending = self.pending, pending
        try:
            if self._file is None or not self._whole or self._file.tell() > _MOST_BYTES:
                self._compact()
                return
            with files.refusals(self._path):
                self._append()
                os.fdatasync(self._file.fileno())
        except InputError:
            self.pending = before
            raise

    def settle(self, seq: int | None) -> None:
        """Remember that the events up to a number are answered, and that none is under way."""
        self.seq, self.pending = seq, None
        # Without this line the last event is sent once more, which changes nothing.
        with suppress(OSError):
            self._append()

    def _append(self) -> None:
        assert self._file is not None
        line, self._whole = self._line(), False
        if self._file.write(line) != len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._path))
        self._whole = True

    def _line(self) -> bytes:
        if self.pending is not None:
            sent = _Sent(
                self._model, self._session, self.pending.seq, msgspec.Raw(self.pending.body)
            )
            return _encode(sent) + b"\n"
        return _encode(_Settled(self.seq)) + b"\n"

    def _compact(self) -> None:
        """Write the file anew, with what counts."""
        files.write_file(self._path, self._line())
        self.close()
        with files.refusals(self._path):
            self._file = FileIO(self._path, "ab")
        self._whole = True

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

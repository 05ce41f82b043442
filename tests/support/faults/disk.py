"""What a loss of power leaves of a folder, worked out from the library in preload/.

A model of a file system: each file has its contents as programs see them, and as the disk has them;
so has each folder its names. A write reaches the disk when a sync of that file succeeds that began
after it; a name that was made, changed or removed, when its folder is synced. (Many file systems
promise more. POSIX does not, and what holds here holds on all of them.) Of what was not synced,
nothing reaches the disk, or any choice of 4 kB pages and a first part of each folder's changes.
"""

from __future__ import annotations

import random
import shutil
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

__all__ = ["Disk", "Entry", "entries"]

_HEADER = struct.Struct("<2I5Q")
_PAGE = 4096
_KEEP_SIZE, _PUNCH_HOLE, _ZERO_RANGE = 1, 2, 16
(
    _CREATED,
    _OPENED,
    _WRITE,
    _TRUNCATE,
    _SYNC_OK,
    _SYNC_FAILED,
    _RENAME,
    _UNLINK,
    _MKDIR,
    _RMDIR,
    _DIRSYNC,
    _ALLOCATE,
    _LINK,
) = range(1, 14)


class Entry(NamedTuple):
    """One change, as the recording has it."""

    kind: int
    sequence: int
    inode: int
    offset: int
    length: int
    name: str
    data: bytes


def entries(data: bytes) -> Iterator[Entry]:
    """Iterate over whole entries; a cut last one is left out."""
    at = 0
    while at + _HEADER.size <= len(data):
        kind, names, sequence, inode, offset, length, size = _HEADER.unpack_from(data, at)
        start = at + _HEADER.size
        at = start + names + size
        if at > len(data):
            return
        name = data[start : start + names].decode()
        yield Entry(kind, sequence, inode, offset, length, name, data[start + names : at])


class _Change(NamedTuple):
    """A change of a file: bytes at an offset, or (no bytes) a new size."""

    sequence: int
    offset: int
    data: bytes | None

    def apply(self, contents: bytearray) -> None:
        if self.data is None:
            del contents[self.offset :]
            contents.extend(bytes(self.offset - len(contents)))
        else:
            contents.extend(bytes(max(self.offset - len(contents), 0)))
            contents[self.offset : self.offset + len(self.data)] = self.data

    def pages(self) -> Iterator[_Change]:
        """Split it where pages end: each reaches the disk, or does not."""
        if self.data is None:
            yield self
            return
        at = 0
        while at < len(self.data):
            size = _PAGE - (self.offset + at) % _PAGE
            yield _Change(self.sequence, self.offset + at, self.data[at : at + size])
            at += size


@dataclass(eq=False)
class _File:
    seen: bytearray = field(default_factory=bytearray)
    durable: bytearray = field(default_factory=bytearray)
    pending: list[_Change] = field(default_factory=list)

    def change(self, change: _Change) -> None:
        change.apply(self.seen)
        self.pending.append(change)

    def sync(self, until: int) -> None:
        for change in self.pending:
            if change.sequence <= until:
                change.apply(self.durable)
        self.pending = [change for change in self.pending if change.sequence > until]

    def lose(self, until: int, rng: random.Random | None) -> None:
        """Drop what is not durable; with `rng`, pages of it reach the disk all the same."""
        for change in self.pending:
            if change.sequence <= until and rng is not None:
                for page in change.pages():
                    if rng.random() < 0.5:
                        page.apply(self.durable)
        self.pending = [change for change in self.pending if change.sequence > until]


class _Naming(NamedTuple):
    """A change of a folder: names that go, and names that come."""

    sequence: int
    removed: tuple[str, ...]
    added: tuple[tuple[str, _File | None], ...]  # None: a folder

    def apply(self, names: dict[str, _File | None]) -> None:
        for path in self.removed:
            names.pop(path, None)
        names.update(self.added)


class Disk:
    """The files below a folder, as they are and as a loss of power would leave them.

    Parameters
    ----------
    folder : Path
        What the library in preload/ was told to watch. What is in it now counts as durable.
    recording : Path
        What the library in preload/ wrote.
    seed : int
        Of the choice of what reaches the disk.
    """

    def __init__(self, folder: Path, recording: Path, seed: int = 0) -> None:
        self.folder = folder
        self.rng = random.Random(seed)
        self._recording = recording
        self._base = 0  # sequences of one process begin at 1; of all of them here, at this
        self._begin()

    def _begin(self) -> None:
        """Take what is there for durable."""
        self._names: dict[str, _File | None] = {str(self.folder): None}
        self._by_inode: dict[int, _File] = {}
        self._folders = {self.folder.stat().st_ino: str(self.folder)}
        self._pending: dict[str, list[_Naming]] = {}
        for path in sorted(self.folder.rglob("*")):
            if path.is_dir():
                self._folders[path.stat().st_ino] = str(path)
                self._names[str(path)] = None
            else:
                data = path.read_bytes()
                file = _File(bytearray(data), bytearray(data))
                self._names[str(path)] = self._by_inode[path.stat().st_ino] = file
        self._durable_names = dict(self._names)

    def read(self) -> int:
        """Take in what a process did, after it has ended.

        Returns
        -------
        int
            How many files or names differ from what was recorded. A process that dies between a
            change and its recording leaves one or two; one that ends by itself, none, unless it
            changes files in a way that goes past the library.
        """
        highest = 0
        if self._recording.exists():
            for entry in entries(self._recording.read_bytes()):
                self._take(entry)
                highest = max(highest, entry.sequence)
            # Emptied, so that the cut end of one process is not the middle of the next.
            self._recording.write_bytes(b"")
        self._base += highest
        return self._reconcile()

    def lose_power(self, *, partly: bool = False) -> int:
        """Leave on the disk what a loss of power would; return how many changes were unsynced.

        Parameters
        ----------
        partly : bool
            Some pages, and some changes of names, reach the disk unsynced.
        """
        rng = self.rng if partly else None
        lost = 0
        for namings in self._pending.values():
            lost += len(namings)
            for naming in namings[: rng.randint(0, len(namings)) if rng else 0]:
                naming.apply(self._durable_names)
        for file in {id(file): file for file in self._files()}.values():
            lost += len(file.pending)
            file.lose(self._base, rng)
        self._write_out()
        return lost

    def _files(self) -> Iterator[_File]:
        for names in (self._names, self._durable_names):
            yield from (file for file in names.values() if file is not None)

    def _write_out(self) -> None:
        for path in self.folder.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        for name in sorted(self._durable_names):
            path, file = Path(name), self._durable_names[name]
            if path == self.folder or not path.parent.is_dir():
                continue  # its folder itself was not durable
            if file is None:
                path.mkdir()
            else:
                path.write_bytes(file.durable)
        self._begin()

    def _take(self, entry: Entry) -> None:
        sequence = self._base + entry.sequence
        file = self._by_inode.get(entry.inode)
        until = self._base + entry.offset  # of a sync: what was recorded before it began
        if entry.kind in (_CREATED, _OPENED):
            if entry.kind == _OPENED and file is not None:
                return
            file = self._by_inode[entry.inode] = _File()
            if entry.name:
                self._name(sequence, (), ((entry.name, file),))
        elif entry.kind == _WRITE and file is not None:
            file.change(_Change(sequence, entry.offset, entry.data))
        elif entry.kind == _TRUNCATE and file is not None:
            file.change(_Change(sequence, entry.offset, None))
        elif entry.kind == _ALLOCATE and file is not None:
            self._allocate(sequence, file, entry)
        elif entry.kind == _SYNC_OK and file is not None:
            file.sync(until)
        elif entry.kind == _SYNC_FAILED and file is not None:
            file.lose(until, self.rng)
        elif entry.kind == _RENAME:
            old, new = entry.name.split("\0")
            if old in self._names:
                self._name(sequence, (old,), ((new, self._names[old]),))
        elif entry.kind == _LINK:
            old, new = entry.name.split("\0")
            self._name(sequence, (), ((new, self._names[old]),))
        elif entry.kind in (_UNLINK, _RMDIR):
            self._name(sequence, (entry.name,), ())
        elif entry.kind == _MKDIR:
            self._folders[entry.inode] = entry.name
            self._name(sequence, (), ((entry.name, None),))
        elif entry.kind == _DIRSYNC:
            self._sync_folder(self._folders[entry.inode], until)

    def _allocate(self, sequence: int, file: _File, entry: Entry) -> None:
        mode, end = int(entry.name), entry.offset + entry.length
        if mode & (_PUNCH_HOLE | _ZERO_RANGE):
            zeros = bytes(max(min(end, len(file.seen)) - entry.offset, 0))
            file.change(_Change(sequence, entry.offset, zeros))
        if not mode & _KEEP_SIZE and end > len(file.seen):
            file.change(_Change(sequence, end, None))

    def _name(
        self, sequence: int, removed: tuple[str, ...], added: tuple[tuple[str, _File | None], ...]
    ) -> None:
        naming = _Naming(sequence, removed, added)
        naming.apply(self._names)
        by_folder: dict[str, tuple[list[str], list[tuple[str, _File | None]]]] = {}
        for path in removed:
            by_folder.setdefault(str(Path(path).parent), ([], []))[0].append(path)
        for path, file in added:
            by_folder.setdefault(str(Path(path).parent), ([], []))[1].append((path, file))
        for folder, (gone, come) in by_folder.items():
            self._pending.setdefault(folder, []).append(_Naming(sequence, tuple(gone), tuple(come)))

    def _sync_folder(self, folder: str, until: int) -> None:
        kept = []
        for naming in self._pending.pop(folder, []):
            if naming.sequence <= until:
                naming.apply(self._durable_names)
            else:
                kept.append(naming)
        if kept:
            self._pending[folder] = kept

    def _reconcile(self) -> int:
        """Take what the files have and the recording has not for changes that were not synced."""
        differing = 0
        there = {str(path): path for path in self.folder.rglob("*")}
        self._base += 1
        for name in [n for n in self._names if n not in there and n != str(self.folder)]:
            differing += 1
            self._name(self._base, (name,), ())
        for name, path in there.items():
            if path.is_dir():
                if name not in self._names:
                    differing += 1
                    self._folders[path.stat().st_ino] = name
                    self._name(self._base, (), ((name, None),))
                continue
            file, data = self._names.get(name), path.read_bytes()
            if file is None or self._by_inode.get(path.stat().st_ino) is not file:
                differing += 1
                file = self._by_inode.setdefault(path.stat().st_ino, _File())
                self._name(self._base, (), ((name, file),))
            if file.seen != data:
                differing += 1
                file.change(_Change(self._base, 0, data))
                if len(data) < len(file.seen):
                    file.change(_Change(self._base, len(data), None))
        return differing

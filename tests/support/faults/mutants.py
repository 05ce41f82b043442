"""Servers that break a promise: the suite is worth something if it finds each of them.

A mutant is made by the library of faults (a call that is swallowed), or of a copy of the source in
which some text is replaced; that the text was there is asserted.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import tidegate
from faults.layer import Layer, Rule

__all__ = ["MUTANTS", "Mutant", "Patch", "patched"]


@dataclass(frozen=True)
class Patch:
    """Text of a file of the source, and what stands there in the mutant."""

    file: str
    old: str
    new: str


@dataclass(frozen=True)
class Mutant:
    """A server that breaks a promise.

    Parameters
    ----------
    name : str
        What it does wrong.
    found : frozenset of str
        The kinds of breaks of which the checker must report one; ``refused``: or the server does
        not start on what is left of its store.
    patches : tuple of Patch
        Of the source.
    arm : callable, optional
        Arms a rule of the library of faults.
    answered : bool
        Whether it is to die just after an answer has left, or just before.
    deaths : int
        How often at most: for what shows only if the death meets the right moment.
    """

    name: str
    found: frozenset[str]
    patches: tuple[Patch, ...] = ()
    arm: Callable[[Layer], Rule] | None = None
    answered: bool = True
    deaths: int = 1


MUTANTS = (
    Mutant(
        "a sync does nothing",
        frozenset({"lost", "refused"}),
        arm=lambda layer: layer.arm("sync", "swallow", count=0),
    ),
    Mutant(
        "a folder is not synced after a file was made or renamed",
        frozenset({"lost", "refused"}),
        arm=lambda layer: layer.arm("dirsync", "swallow", count=0),
    ),
    Mutant(
        "an answer leaves before the sync",
        frozenset({"lost"}),
        patches=(
            Patch(
                "serve/batcher.py",
                "if self._store.volatile or leaving.ticket <= self._durable:",
                "if True:",
            ),
            Patch(
                "serve/batcher.py",
                "if not self._store.volatile and self._leaving[0].ticket > self._durable:",
                "if False:",
            ),
        ),
    ),
    Mutant(
        "answers are not persisted",
        frozenset({"unanswered"}),
        answered=False,
        deaths=4,
        patches=(
            Patch(
                "serve/processor.py",
                "from tidegate import core\n",
                "import msgspec\nfrom tidegate import core, record\n",
            ),
            Patch(
                "serve/processor.py",
                "self.table.load(*zip(*there, strict=True))",
                "self.table.load([n for n, _ in there], [record.encode(msgspec.structs.replace("
                "record.decode(d), answers=())) for _, d in there])",
            ),
        ),
    ),
)


_SITE = """import sys

sys.meta_path[:] = [f for f in sys.meta_path if not type(f).__module__.startswith("_editable_")]
"""


def patched(patches: tuple[Patch, ...], folder: Path) -> Path:
    """Copy the source, replace text in it, and return what to put on PYTHONPATH."""
    source = Path(str(tidegate.__file__)).parent
    target = folder / "tidegate"
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    compiled = Path(str(import_module("tidegate._core").__file__))
    if not (target / compiled.name).exists():
        shutil.copy(compiled, target)
    # An editable install finds its own source first, if it is let.
    (folder / "sitecustomize.py").write_text(_SITE)
    for patch in patches:
        file = target / patch.file
        text = file.read_text()
        assert text.count(patch.old) == 1, f"{patch.file} has no single {patch.old!r}"
        file.write_text(text.replace(patch.old, patch.new))
    return folder

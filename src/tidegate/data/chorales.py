"""Bach's chorales for four voices, as events: a language of notes.

The scores are MusicXML in the corpus of music21 (Cuthbert, Ariza 2010). Time goes by eighths; at
each, the soprano says its note, then alto, tenor and bass. A note that goes on is `HELD`. All are
transposed to the key without sharps and flats, so that a small model has one key to learn.

References
----------
F. Liang, M. Gotham, M. Johnson, J. Shotton, "Automatic stylistic composition of Bach chorales with
deep LSTM", 2017: the voices of a moment one after the other, and ties as tokens of their own.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from xml.etree import ElementTree

import polars as pl

from tidegate.errors import InputError

__all__ = ["HELD", "REST", "VOICES", "Chorale", "note_events", "number", "read", "voices_of"]

VOICES = 4
HELD, REST = "-", "r"
_NAMES = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
_STEPS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_SCORE = re.compile(r"music21/corpus/bach/(bwv[^/]+)\.mxl")


@dataclass(frozen=True)
class Chorale:
    """A piece.

    Parameters
    ----------
    name : str
        ``bwv102.7``, say.
    voices : tuple of list of str
        Soprano, alto, tenor, bass: a token an eighth, which is the name of a note that begins
        (``"G4"``; ``"C4"`` is the middle C), `HELD` or `REST`. All are as long.
    """

    name: str
    voices: tuple[list[str], ...]

    @property
    def tokens(self) -> list[str]:
        """All voices of an eighth, and then those of the next."""
        return [token for moment in zip(*self.voices, strict=True) for token in moment]


def read(folder: str | Path) -> list[Chorale]:
    """Read the chorales, in the order of their names.

    Left out are scores of another number of parts, or with several voices in one, and of the others
    the notes that no eighth meets: between two, a sixteenth passes.

    Parameters
    ----------
    folder : str or Path
        With ``music21.whl``, as ``tidegate datasets fetch chorales`` leaves it.

    Raises
    ------
    InputError
        ``missing_file``.
    """
    path = Path(folder) / "music21.whl"
    if not path.is_file():
        raise InputError(
            "missing_file",
            f"no music21.whl in {folder}",
            field="folder",
            hint="tidegate datasets fetch chorales",
        )
    found = []
    with zipfile.ZipFile(path) as wheel:
        for name in sorted(wheel.namelist()):
            if score := _SCORE.fullmatch(name):
                voices = _voices(_unpacked(wheel.read(name)))
                if voices is not None:
                    found.append(Chorale(score[1], voices))
    return found


def note_events(chorales: Iterable[Chorale]) -> pl.DataFrame:
    """Return an event a note: ``session`` is the piece, ``note`` the token."""
    rows = [(piece.name, token) for piece in chorales for token in piece.tokens]
    return pl.DataFrame(rows, schema={"session": pl.String, "note": pl.String}, orient="row")


def _unpacked(content: bytes) -> ElementTree.Element:
    """Return the score in a .mxl archive."""
    with zipfile.ZipFile(io.BytesIO(content)) as packed:
        listed = _parsed(packed.read("META-INF/container.xml"))
        (root, *_) = (each for each in listed.iter() if each.tag.endswith("rootfile"))
        return _parsed(packed.read(root.attrib["full-path"]))


def _parsed(content: bytes) -> ElementTree.Element:
    return ElementTree.fromstring(content)  # noqa: S314 (of an archive whose checksum is known)


def _voices(score: ElementTree.Element) -> tuple[list[str], ...] | None:
    parts = score.findall("part")
    if len(parts) != VOICES:
        return None
    shift = _to_no_signature(score)
    voices = [_voice(part, shift) for part in parts]
    whole = [voice for voice in voices if voice is not None]
    if len(whole) < VOICES or len({len(voice) for voice in whole}) > 1:
        return None
    return tuple(whole)


def _to_no_signature(score: ElementTree.Element) -> int:
    """Return the semitones, -6 to 5, to the key whose signature is empty."""
    fifths = int(score.findtext(".//key/fifths", "0"))
    return (-7 * fifths + 6) % 12 - 6


def _voice(part: ElementTree.Element, shift: int) -> list[str] | None:
    """Return what sounds at each eighth; None if the part has several voices."""
    tokens: list[str] = []
    now = Fraction(0)
    divisions, sounding, begun, last = 1, REST, 0, -1
    for place, each in enumerate(part.iter()):
        if each.tag in ("backup", "forward", "chord"):
            return None
        if each.tag == "divisions":
            divisions = int(each.text or 1)
        if each.tag != "note" or each.find("grace") is not None:
            continue
        if not any(tie.get("type") == "stop" for tie in each.findall("tie")):
            sounding, begun = _name(each.find("pitch"), shift), place
        now += Fraction(2 * int(each.findtext("duration", "0")), divisions)
        while len(tokens) < now:
            tokens.append(HELD if begun == last and sounding != REST else sounding)
            last = begun
    return tokens


def _name(pitch: ElementTree.Element | None, shift: int) -> str:
    if pitch is None:
        return REST
    step = _STEPS[pitch.findtext("step", "C")] + int(pitch.findtext("alter", "0"))
    octave, place = divmod(step + 12 * int(pitch.findtext("octave", "4")) + shift, 12)
    return f"{_NAMES[place]}{octave}"


def number(note: str) -> int:
    """Return the number that MIDI has for a note.

    Examples
    --------
    >>> number("C4"), number("A4"), number("Bb3")
    (60, 69, 58)
    """
    name, octave = note[:-1], note[-1]
    if name not in _NAMES or not octave.isdigit():
        raise InputError(
            "wrong_note", f"{note!r} is no note", field="note", hint='use names like "F#4" or "Bb3"'
        )
    return 12 * (int(octave) + 1) + _NAMES.index(name)


def voices_of(tokens: Sequence[str]) -> tuple[list[str], ...]:
    """Part the tokens of a piece into its voices; an eighth that is not whole is left out."""
    whole = len(tokens) - len(tokens) % VOICES
    return tuple(list(tokens[at:whole:VOICES]) for at in range(VOICES))

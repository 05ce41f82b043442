"""Scores as tokens, from an archive of two small pieces."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest

from tidegate.data import chorales
from tidegate.errors import InputError

LISTED = '<container><rootfiles><rootfile full-path="s.xml"/></rootfiles></container>'


def note(name: str, duration: int, *, tie: str = "", alter: int = 0) -> str:
    step, octave = name[0], name[1]
    pitch = f"<step>{step}</step><alter>{alter}</alter><octave>{octave}</octave>"
    pitch = "<rest/>" if name == "rest" else f"<pitch>{pitch}</pitch>"
    tied = f'<tie type="{tie}"/>' if tie else ""
    return f"<note>{pitch}<duration>{duration}</duration>{tied}</note>"


def score(*parts: str, fifths: int = 0) -> bytes:
    """Four divisions a quarter: an eighth lasts 2."""
    head = f"<attributes><divisions>4</divisions><key><fifths>{fifths}</fifths></key></attributes>"
    written = "".join(f"<part><measure>{head}{part}</measure></part>" for part in parts)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("META-INF/container.xml", LISTED)
        archive.writestr("s.xml", f"<score-partwise>{written}</score-partwise>")
    return packed.getvalue()


def read(folder: Path, **scores: bytes) -> list[chorales.Chorale]:
    with zipfile.ZipFile(folder / "music21.whl", "w") as wheel:
        for name, content in scores.items():
            wheel.writestr(f"music21/corpus/bach/{name}.mxl", content)
        wheel.writestr("music21/corpus/bach/analysis.rntxt", "not a score")
    return chorales.read(folder)


def test_voices_take_turns_at_each_eighth(tmp_path: Path) -> None:
    soprano = note("C5", 4) + note("D5", 2) + note("E5", 2)
    alto = note("G4", 8)
    tenor = note("E4", 4, tie="start") + note("E4", 2, tie="stop") + note("E4", 2)
    bass = note("C3", 2) + note("rest", 4) + note("C3", 2)
    (piece,) = read(tmp_path, bwv1=score(soprano, alto, tenor, bass))
    assert piece.name == "bwv1"
    assert piece.voices == (
        ["C5", "-", "D5", "E5"],
        ["G4", "-", "-", "-"],
        ["E4", "-", "-", "E4"],
        ["C3", "r", "r", "C3"],
    )
    assert piece.tokens[:8] == ["C5", "G4", "E4", "C3", "-", "-", "-", "r"]
    assert chorales.voices_of([*piece.tokens, "G4"]) == piece.voices
    events = chorales.note_events([piece])
    assert events["note"].to_list() == piece.tokens
    assert events["session"].unique().to_list() == ["bwv1"]


def test_a_sixteenth_between_two_eighths_passes(tmp_path: Path) -> None:
    quick = note("C5", 1) + note("D5", 1) + note("E5", 3) + note("F5", 1) + note("G5", 2)
    (piece,) = read(tmp_path, bwv1=score(quick, *[note("C4", 8)] * 3))
    assert piece.voices[0] == ["C5", "E5", "-", "G5"]


@pytest.mark.parametrize(
    ("fifths", "given", "alter", "wanted"),
    [(1, "G4", 0, "C4"), (1, "F4", 1, "B3"), (-1, "F4", 0, "C4"), (-3, "E4", -1, "C4")],
)
def test_keys_lose_their_signature(
    tmp_path: Path, fifths: int, given: str, alter: int, wanted: str
) -> None:
    part = note(given, 2, alter=alter)
    (piece,) = read(tmp_path, bwv1=score(*[part] * 4, fifths=fifths))
    assert {voice[0][:-1] for voice in piece.voices} == {wanted[:-1]}
    assert abs(chorales.number(piece.voices[0][0]) - chorales.number(wanted)) in (0, 12)


def test_other_scores_are_left_out(tmp_path: Path) -> None:
    part = note("C4", 2)
    found = read(
        tmp_path,
        bwv1=score(*[part] * 3),
        bwv2=score(part, part, part, part + part),
        bwv3=score(part, part, part, f"{part}<backup><duration>2</duration></backup>{part}"),
        bwv4=score(*[part] * 4),
    )
    assert [piece.name for piece in found] == ["bwv4"]


def test_what_is_no_note_or_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'H4' is no note"):
        chorales.number("H4")
    with pytest.raises(InputError, match="datasets fetch chorales"):
        chorales.read(tmp_path)

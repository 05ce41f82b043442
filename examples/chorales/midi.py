r"""Notes as a MIDI file, which any player plays.

    tidegate generate build/chorales/bundle --prompt "C5 G4 E4 C3" --tokens 380 \
      | python examples/chorales/midi.py piece.mid

Reads notes as `tidegate.data.chorales` names them from standard input: four voices in turn, an
eighth each.
"""

from __future__ import annotations

import argparse
import struct
import sys
from collections.abc import Sequence
from pathlib import Path

from tidegate.data.chorales import HELD, REST, number, voices_of

EIGHTH = 240
"""Ticks; a quarter has 480."""

TEMPO = 750_000
"""Microseconds a quarter: 80 quarters a minute."""

CHOIR, LOUD = 52, 80


def main() -> None:
    """Read notes and write the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, metavar="FILE", help="to write, .mid")
    options = parser.parse_args()
    tokens = sys.stdin.read().split()
    options.out.write_bytes(piece(tokens))
    print(f"{options.out}: {len(tokens) // 4} eighths of four voices")


def piece(tokens: Sequence[str]) -> bytes:
    """Write a piece: a track for the tempo, and one a voice."""
    tempo = _event(0, b"\xff\x51\x03" + TEMPO.to_bytes(3, "big"))
    tracks = [tempo, *(track(voice, at) for at, voice in enumerate(voices_of(tokens)))]
    head = b"MThd" + struct.pack(">IHHH", 6, 1, len(tracks), 2 * EIGHTH)
    end = _event(0, b"\xff\x2f\x00")
    return head + b"".join(
        b"MTrk" + struct.pack(">I", len(each + end)) + each + end for each in tracks
    )


def track(voice: Sequence[str], channel: int) -> bytes:
    """Write the notes of a voice; one that is held before any began is a rest."""
    written = [_event(0, bytes((0xC0 | channel, CHOIR)))]
    sounding: int | None = None
    waited = 0
    for token in voice:
        if token != HELD:
            if sounding is not None:
                written.append(_event(waited, bytes((0x80 | channel, sounding, 0))))
                sounding, waited = None, 0
            if token != REST:
                sounding = number(token)
                written.append(_event(waited, bytes((0x90 | channel, sounding, LOUD))))
                waited = 0
        waited += EIGHTH
    if sounding is not None:
        written.append(_event(waited, bytes((0x80 | channel, sounding, 0))))
    return b"".join(written)


def _event(ticks: int, content: bytes) -> bytes:
    """Write what happens after so many ticks, which take seven bits a byte."""
    groups = [ticks & 0x7F]
    while ticks := ticks >> 7:
        groups.append(ticks & 0x7F | 0x80)
    return bytes(reversed(groups)) + content


if __name__ == "__main__":
    main()

"""What is written is read again, byte by byte."""

from __future__ import annotations

import struct

from examples_of import load

midi = load("chorales", "midi")


def tracks(content: bytes) -> list[list[tuple[int, bytes]]]:
    """The events of each track: when, in ticks, and what."""
    kind, size, form, many, quarter = struct.unpack(">4sIHHH", content[:14])
    assert (kind, size, form, quarter) == (b"MThd", 6, 1, 480)
    found, at = [], 14
    while at < len(content):
        kind, size = struct.unpack(">4sI", content[at : at + 8])
        assert kind == b"MTrk"
        found.append(events(content[at + 8 : at + 8 + size]))
        at += 8 + size
    assert len(found) == many
    return found


def events(track: bytes) -> list[tuple[int, bytes]]:
    found, at, now = [], 0, 0
    while at < len(track):
        delta = 0
        while True:
            byte = track[at]
            delta, at = delta << 7 | byte & 0x7F, at + 1
            if not byte & 0x80:
                break
        now += delta
        status = track[at]
        size = 3 + track[at + 2] if status == 0xFF else 2 if status & 0xF0 == 0xC0 else 3
        found.append((now, track[at : at + size]))
        at += size
    return found


def test_a_piece_has_a_track_for_each_voice() -> None:
    tokens = ["C5", "-", "r", "C3", "-", "G4", "E4", "-", "D5", "-", "-", "r", "E5"]
    tempo, soprano, alto, tenor, bass = tracks(midi.piece(tokens))
    assert tempo == [(0, b"\xff\x51\x03" + (750_000).to_bytes(3, "big")), (0, b"\xff\x2f\x00")]
    on, off = 0x90, 0x80
    assert soprano[1:-1] == [
        (0, bytes((on, 72, 80))),
        (480, bytes((off, 72, 0))),
        (480, bytes((on, 74, 80))),
        (720, bytes((off, 74, 0))),
    ]
    assert alto[1:-1] == [(240, bytes((on + 1, 67, 80))), (720, bytes((off + 1, 67, 0)))]
    assert tenor[1:-1] == [(240, bytes((on + 2, 64, 80))), (720, bytes((off + 2, 64, 0)))]
    assert bass[1:-1] == [(0, bytes((on + 3, 48, 80))), (480, bytes((off + 3, 48, 0)))]


def test_long_waits_take_several_bytes() -> None:
    (_, soprano, *_) = tracks(midi.piece([*["r"] * 4 * 100, "C5", "r", "r", "r"]))
    assert soprano[1][0] == 24_000

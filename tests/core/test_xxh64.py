"""XXH64 against published values and against the package of its authors' library."""

from __future__ import annotations

import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.core import xxh64

PRIME32, PRIME64 = 2654435761, 11400714785074694797


def sanity_buffer(size: int) -> bytes:
    """The bytes of the reference implementation's sanity check."""
    generator, made = PRIME32, bytearray()
    for _ in range(size):
        made.append(generator >> 56)
        generator = generator * PRIME64 % 2**64
    return bytes(made)


@pytest.mark.parametrize(
    ("size", "seed", "expected"),
    [
        (0, 0, 0xEF46DB3751D8E999),
        (0, PRIME32, 0xAC75FDA2929B17EF),
        (1, 0, 0xE934A84ADB052768),
        (1, PRIME32, 0x5014607643A9B4C3),
        (4, 0, 0x9136A0DCA57457EE),
        (14, 0, 0x8282DCC4994E35C8),
        (14, PRIME32, 0xC3BD6BF63DEB6DF0),
        (222, 0, 0xB641AE8CB691C174),
        (222, PRIME32, 0x20CB8AB7AE10C14A),
    ],
)
def test_published_values(size: int, seed: int, expected: int) -> None:
    assert xxh64(sanity_buffer(size), seed) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"", 0xEF46DB3751D8E999),
        (b"a", 0xD24EC4F1A98C6E5B),
        (b"abc", 0x44BC2CF5AD770999),
    ],
)
def test_well_known_texts(text: bytes, expected: int) -> None:
    assert xxh64(text) == expected


@settings(deadline=None)
@given(st.binary(max_size=200), st.integers(0, 2**64 - 1))
def test_is_that_of_the_library(data: bytes, seed: int) -> None:
    assert xxh64(data, seed) == xxhash.xxh64_intdigest(data, seed)


def test_every_length_up_to_some_stripes() -> None:
    data = sanity_buffer(130)
    for size in range(131):
        assert xxh64(data[:size]) == xxhash.xxh64_intdigest(data[:size])

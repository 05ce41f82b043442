"""Groups of changes for a log."""

import pytest

from tidegate import core


def test_gives_back_what_was_put_in_order() -> None:
    group = core.Group()
    group.add(b"a", b"one", kind=2, stamp=7.5)
    group.add(b"b" * 600, b"")
    group.delete(b"a")
    assert group.items() == [(b"a", b"one"), (b"b" * 600, b""), (b"a", None)]
    assert len(group) == 3
    # A frame is a header of 40 bytes, the key, the value, and zeros up to a multiple of 8.
    assert group.nbytes == 48 + 640 + 48


@pytest.mark.parametrize(
    ("key", "value", "kind", "name"),
    [
        (b"", b"", 1, "key"),
        (b"x" * 65_536, b"", 1, "key"),
        (b"a", b"", 0, "kind"),
        (b"a", b"", 5, "kind"),
    ],
)
def test_refuses_what_no_frame_can_hold(key: bytes, value: bytes, kind: int, name: str) -> None:
    group = core.Group()
    with pytest.raises(ValueError, match=name):
        group.add(key, value, kind)
    assert len(group) == 0

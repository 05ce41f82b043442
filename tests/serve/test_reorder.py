"""The reorder window, driven by simulated time."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.serve.reorder import Window


def test_gives_back_what_waited_for_too_long_in_order() -> None:
    window: Window[str] = Window(1.0, 4)
    window.hold("a", 3, 2, 0.0, "a3")
    window.hold("b", 5, 4, 0.5, "b5")
    assert (window.next_due(), window.overdue(0.9)) == (1.0, [])
    assert window.overdue(1.0) == ["a3"]
    assert (window.next_due(), window.overdue(9.0), len(window)) == (1.5, ["b5"], 0)
    assert window.next_due() is None


def test_an_event_that_was_released_is_not_overdue_later() -> None:
    window: Window[str] = Window(1.0, 4)
    window.hold("a", 3, 2, 0.0, "first")
    assert window.release("a", 3) == "first"
    window.hold("a", 3, 2, 0.8, "second")
    assert window.overdue(1.0) == []
    assert window.overdue(1.8) == ["second"]


def test_refuses_what_cannot_have_its_turn() -> None:
    window: Window[str] = Window(1.0, 2)
    assert not window.hold("a", 5, 2, 0.0, "too far ahead")
    assert window.hold("a", 3, 2, 0.0, "3")
    assert not window.hold("a", 3, 2, 0.0, "3 again")
    assert window.hold("a", 4, 2, 0.0, "4")
    assert not window.hold("a", 4, 3, 0.0, "full")
    assert window.hold("b", 4, 2, 0.0, "another session")


@settings(deadline=None, max_examples=60)
@given(st.permutations(range(1, 9)), st.integers(1, 8))
def test_whatever_the_order_each_event_has_its_turn_or_is_refused(
    arrival: list[int], most: int
) -> None:
    window: Window[int] = Window(10.0, most)
    last, stepped, refused = 0, [], []
    for seq in arrival:
        if seq != last + 1:
            if not window.hold("s", seq, last + 1, 0.0, seq):
                refused.append(seq)
            continue
        while True:
            last += 1
            stepped.append(last)
            following = window.release("s", last + 1)
            if following is None:
                break
            assert following == last + 1
    assert stepped == [*range(1, last + 1)]
    assert sorted([*stepped, *refused, *window.overdue(10.0)]) == [*range(1, 9)]
    assert refused or last == 8

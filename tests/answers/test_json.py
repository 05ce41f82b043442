"""Answers in C are to the byte what the JSON library makes of `answer`."""

from __future__ import annotations

import math
from typing import Any, Literal

import msgspec
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tidegate import answers, core
from tidegate.spec import ItemsSpec, TaskSpec

LOGITS = st.floats(width=32, allow_nan=False, allow_infinity=False)
NAMES = st.text(st.characters(exclude_categories=["Cs"]))


def words(task: TaskSpec, outputs: list[list[float]]) -> tuple[list[bytes], list[bytes]]:
    """Return the answers to outputs in C, and by way of objects."""
    rows = np.array(outputs, dtype=np.float32)
    opened = answers.open(task)
    return opened.json("1").answers(rows), [msgspec.json.encode(a) for a in opened.answer(rows)]


@settings(max_examples=300, deadline=None)
@given(
    st.lists(LOGITS, min_size=1, max_size=5), st.lists(NAMES, min_size=2, max_size=2, unique=True)
)
@example([0.0, -0.0, 800.0, -800.0], ["no", 'y"\\es'])
def test_of_two_classes(logits: list[float], names: list[str]) -> None:
    found, expected = words(TaskSpec("classify", "c", classes=tuple(names)), [[x] for x in logits])
    assert found == expected


@settings(max_examples=300, deadline=None)
@given(st.data(), st.integers(3, 40))
def test_of_many_classes(data: Any, size: int) -> None:
    near = st.floats(-20, 20, width=32)
    row = data.draw(st.lists(near | LOGITS, min_size=size, max_size=size))
    task = TaskSpec("classify", "c", classes=tuple(map(str, range(size))))
    found, expected = words(task, [row, row[::-1]])
    assert found == expected


@settings(max_examples=200, deadline=None)
@given(st.data(), st.integers(3, 40), st.sampled_from(["tag", "language"]))
def test_of_the_likeliest_alone(data: Any, size: int, name: Literal["tag", "language"]) -> None:
    near = st.integers(-3, 3).map(float)  # many are equal
    row = data.draw(st.lists(near | LOGITS, min_size=size, max_size=size))
    classes = ("", *map(chr, range(35, 34 + size)))
    items = ItemsSpec(top=data.draw(st.integers(1, 12))) if name == "language" else None
    found, expected = words(TaskSpec(name, "c", classes=classes, items=items), [row, row[::-1]])
    assert found == expected
    limit = items.top if items else 5 if size > 20 else size
    for each in found:
        assert len(msgspec.json.decode(each)["probabilities"]) == min(limit, size)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.floats(-700, 0), min_size=3, max_size=300))
def test_many_shares_are_summed_as_fsum_does(logits: list[float]) -> None:
    """Sums of which each rounding counts: with one after each number, some would differ."""
    row = [0.0, *logits]
    task = TaskSpec("classify", "c", classes=tuple(map(str, range(len(row)))))
    (found,), (expected,) = words(task, [row])
    assert found == expected


def test_a_plain_sum_would_differ() -> None:
    """The test above can fail."""
    rows = np.random.default_rng(0).uniform(-3, 0, (50, 101))
    shares = [[math.exp(x) for x in row] for row in rows.tolist()]
    plain = [np.cumsum(row)[-1] for row in shares]
    assert sum(a != math.fsum(b) for a, b in zip(plain, shares, strict=True)) > 10


@settings(max_examples=1000, deadline=None)
@given(st.floats(allow_nan=False, allow_infinity=False))
@example(1e16)
@example(9999999999999998.0)
@example(1e-5)
@example(9.999e-6)
@example(5e-324)
@example(-0.0)
@example(100.0)
@example(math.inf)
@example(math.nan)
def test_numbers_are_written_as_the_library_writes_them(number: float) -> None:
    """A mean to which nothing is added."""
    words = core.AnswerWords.template('"1"', 1, [("number", "[", 0, 0.0, number)], "]")
    found = words.answers(np.array([[-0.0]], np.float32))
    assert found == [b"[" + msgspec.json.encode(number) + b"]"]


@settings(max_examples=300, deadline=None)
@given(LOGITS, st.floats(-1e9, 1e9), st.floats(1e-9, 1e9))
def test_of_a_number(output: float, mean: float, scale: float) -> None:
    """Multiplied and added with a rounding each."""
    task = TaskSpec("regress", "delay", target_mean=mean, target_scale=scale)
    found, expected = words(task, [[output]])
    assert found == expected


@settings(max_examples=300, deadline=None)
@given(st.data(), st.lists(NAMES, min_size=2, max_size=9, unique=True))
def test_of_items(data: Any, names: list[str]) -> None:
    top = data.draw(st.integers(1, len(names) - 1))
    scores = data.draw(st.lists(LOGITS | st.just(math.nan), min_size=top, max_size=top))
    # Answers that come back from disk may hold any number.
    index = st.integers(0, len(names) - 1) | st.sampled_from([-1.0, math.nan, math.inf, 99.0])
    indices = data.draw(st.lists(index, min_size=top, max_size=top))
    task = TaskSpec("next_item", "item", classes=tuple(names), items=ItemsSpec(top=top))
    found, expected = words(task, [[*scores, *indices]])
    assert found == expected


def test_what_does_not_fit_is_refused() -> None:
    binary = answers.open(TaskSpec("classify", "c", classes=("a", "b"))).json("1")
    with pytest.raises(ValueError, match="outputs: not as many as the task's"):
        binary.answers(np.zeros((1, 2), np.float32))
    with pytest.raises(TypeError, match="outputs"):
        binary.answers(np.zeros((1, 1)))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="classes: fewer than two"):
        core.AnswerWords.classify('"1"', ['"a"'])


@st.composite
def pieces(draw: st.DrawFn, size: int) -> tuple[Any, Any]:
    """Return a piece, and what makes the same of a row of numbers."""
    index, near = draw(st.integers(0, size - 1)), st.floats(-1e9, 1e9)
    kind = draw(st.sampled_from(["number", "above", "name"]))
    if kind == "number":
        scale, mean = draw(near), draw(near)
        return (kind, index, scale, mean), lambda row: row[index] * scale + mean
    if kind == "above":
        threshold = draw(LOGITS | near)
        return (kind, index, threshold), lambda row: row[index] > threshold
    names = draw(st.lists(NAMES, max_size=4))
    encoded = [msgspec.json.encode(name).decode() for name in names]

    def named(row: list[float]) -> str | None:
        return names[int(row[index])] if 0 <= row[index] < len(names) else None

    return (kind, index, encoded), named


@settings(max_examples=300, deadline=None)
@given(st.data(), st.integers(1, 4))
def test_a_template_is_the_json_of_the_same_object(data: Any, size: int) -> None:
    numbers = LOGITS | st.integers(-1, 4).map(float)
    rows = data.draw(
        st.lists(st.lists(numbers, min_size=size, max_size=size), min_size=1, max_size=4)
    )
    made = data.draw(st.lists(pieces(size), max_size=6))
    keys = data.draw(st.lists(NAMES, min_size=len(made), max_size=len(made), unique=True))
    given: list[Any] = []
    for place, (key, ((kind, *rest), _)) in enumerate(zip(keys, made, strict=True)):
        literal = (",", '{"inner":{')[place == 0] + msgspec.json.encode(key).decode() + ":"
        given.append((kind, literal, *rest))
    words = core.AnswerWords.template('"1"', size, given, "}}" if made else '{"inner":{}}')
    expected = [
        {"inner": {key: word(row) for key, (_, word) in zip(keys, made, strict=True)}}
        for row in rows
    ]
    found = words.answers(np.array(rows, dtype=np.float32))
    assert found == [msgspec.json.encode(answer) for answer in expected]


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf, 3.0, -0.5, -1.0, 1e30])
def test_what_is_no_index_has_no_name(number: float) -> None:
    names = ['"a"', '"b"', '"c"']
    pieces: list[Any] = [("name", "[", 0, names), ("name", ",", 1, names)]
    words = core.AnswerWords.template('"1"', 2, pieces, "]")
    assert words.answers(np.array([[number, 2.0]], np.float32)) == [b'[null,"c"]']


@pytest.mark.parametrize(
    ("piece", "error"),
    [
        (("number", "", 1, 1.0, 0.0), ValueError),
        (("number", "", 0, 1.0), ValueError),
        (("above", "", 0, 1.0, 0.0), ValueError),
        (("share", "", 0, 1.0), ValueError),
        (("name", "", 0), ValueError),
        ((), ValueError),
        (("number", "", -1, 1.0, 0.0), TypeError),
        (("number", 7, 0, 1.0, 0.0), TypeError),
        (("above", "", 0, "much"), TypeError),
        (("name", "", 0, [1]), TypeError),
        ((7, "", 0, []), TypeError),
        ("number", TypeError),
    ],
)
def test_what_is_no_piece_is_refused(piece: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="pieces"):
        core.AnswerWords.template('"1"', 1, [piece], "")


def test_a_template_takes_as_many_numbers_as_it_says() -> None:
    words = core.AnswerWords.template('"1"', 3, [("number", "", 2, 1.0, 0.0)], "")
    assert words.answers(np.arange(3, dtype=np.float32)[None]) == [b"2.0"]
    with pytest.raises(ValueError, match="outputs: not as many as the task's"):
        words.answers(np.zeros((1, 2), np.float32))

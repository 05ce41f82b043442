"""Calls of the C core with parts that do not fit: they work, or are refused plainly.

What a call writes lies between numbers that it has to leave alone, so that a bound that is wrong is
seen without a sanitizer too.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np

from tidegate import core

CELLS = {"gru": 3, "gru_before": 3, "lstm": 4, "rnn_tanh": 1, "rnn_relu": 1}
PER_STEP = {"fp32": 1, "bf16": 2, "int8": 4}
SIZES = [1, 2, 3, 7, 15, 16, 17, 31, 33, 40]
HUGE = [
    0,
    -1,
    2**24,
    2**24 + 1,
    2**31,
    2**32,
    2**60,
    2**63,
    2**64 - 1,
    2**64,
    2**70,
    None,
    1.5,
    "4",
]
UNTOUCHED = np.float32(7e7)
NUMBERS = [0.0, 1.0, 1.0, 2.0, -1.0, 0.5, 3.0, 1e9, -1e30, 1e38, np.nan, np.inf, -np.inf]
NAMES = ['"a"', '"b"', '"é"', '""', "null", '"' + "x" * 300 + '"']
MARGIN = 64
"""Numbers around those that a call writes."""


class Calls:
    """One of the core's faces, called with an input of which some places are wrong."""

    def __call__(self, random: Random) -> str:
        self._random = random
        # An input is wrong in some places only: else every one would be refused at the first.
        self._wrong = random.choice([0.0, 0.01, 0.05])
        self._numbers = np.random.default_rng(random.randrange(2**32))
        self._written: list[tuple[np.ndarray, int]] = []
        try:
            use = self._made()
        except (ValueError, TypeError) as error:
            return type(error).__name__
        try:
            use()
        except (ValueError, TypeError) as error:
            return f"use: {type(error).__name__}"
        finally:
            self._check_between()
        return "works"

    def _made(self) -> Callable[[], None]:
        """Return what uses what was made."""
        raise NotImplementedError

    # Wrong now and then

    def _is_wrong(self) -> bool:
        return self._random.random() < self._wrong

    def _or_wrong(self, right: Any, wrong: list[Any]) -> Any:
        return self._random.choice(wrong) if self._is_wrong() else right

    def _without(self, parts: dict[str, Any]) -> dict[str, Any]:
        if self._is_wrong():
            del parts[self._random.choice(list(parts))]
        return parts

    def _floats(self, shape: tuple[int, ...]) -> Any:
        return self._spoiled(self._numbers.normal(0, 0.3, shape).astype(np.float32))

    def _spoiled(self, array: np.ndarray) -> Any:
        if not self._is_wrong():
            return array
        flat = array.reshape(-1)
        kinds: list[Callable[[], Any]] = [
            lambda: None,
            lambda: array.tolist(),
            lambda: array.astype(np.float64),
            lambda: array.astype(np.int32),
            lambda: array.astype(array.dtype.newbyteorder()),
            lambda: array[:-1],
            lambda: array[..., :-1],
            lambda: array[None],
            lambda: flat,
            lambda: array[:0],
            lambda: np.concatenate([array, array]),
            lambda: np.asfortranarray(array),
            lambda: np.repeat(array, 2, axis=-1)[..., ::2],
            lambda: np.full_like(array, -128 if array.dtype.kind == "i" else 255),
            lambda: np.frombuffer(b"\0" + array.tobytes(), np.uint8)[1:].view(array.dtype),
            lambda: np.full_like(array, np.nan) if array.dtype.kind == "f" else array,
        ]
        with np.errstate(invalid="ignore", over="ignore"):
            return self._random.choice(kinds)()

    # What is written

    def _between(self, *shape: int) -> np.ndarray:
        """Return numbers to write into; `_check_between` says whether others were written."""
        size = int(np.prod(shape))
        whole = np.full(size + 2 * MARGIN, UNTOUCHED, dtype=np.float32)
        self._written.append((whole, size))
        return whole[MARGIN : MARGIN + size].reshape(shape)

    def _check_between(self) -> None:
        for whole, size in self._written:
            around = np.concatenate([whole[:MARGIN], whole[MARGIN + size :]])
            assert (around == UNTOUCHED).all(), "the core wrote where it had no place"


class ModelTarget(Calls):
    """A `core.Model` of any layers, head and readout, and calls of it."""

    def _made(self) -> Callable[[], None]:
        random = self._random
        precision = self._or_wrong(random.choice(list(PER_STEP)), ["fp16", "", None, 3])
        row_size = random.choice(SIZES)
        categories = random.sample(range(row_size), random.randrange(min(row_size, 3) + 1))
        numbers = [c for c in range(row_size) if c not in categories]
        self._row_size, self._tables = row_size, dict[int, int]()
        model = core.Model(
            precision,
            self._or_wrong(row_size, HUGE),
            [self._or_wrong(c, HUGE) for c in numbers],
            random.random() < 0.3,
            self._or_wrong(random.choice([1, 1, 1, 2]), HUGE),
        )
        below = len(numbers)
        for index in range(random.randrange(1, 4)):
            cell, size = random.choice(list(CELLS)), random.choice(SIZES)
            residual = random.random() < 0.3
            if residual and below:
                size = below
            self._is_residual = residual and below > 0
            self._add_layer(model, precision, cell, size, below)
            if index == 0 or self._is_wrong():
                width = (size + 15) // 16 * CELLS[cell] * 16
                for column in categories:
                    self._tables[column] = random.choice(SIZES)
                    table = self._floats((self._tables[column], width))
                    model.add_category(self._or_wrong(column, HUGE), table)
            below = size
        if self._is_wrong():
            return lambda: self._used(model)  # without a head
        for left in (2, 1, 0):  # a head that was refused may be set again
            try:
                self._set_head(model, numbers, below)
                break
            except (ValueError, TypeError):
                if not left:
                    raise
        if self._is_wrong():
            self._set_head(model, numbers, below)
        return lambda: self._used(model)

    def _set_head(self, model, numbers, below) -> None:
        readout = self._random.choice(["outputs", "skip", "top", "top with skip", "surprise"])
        if readout == "surprise" and self._is_residual:
            readout = "outputs"
        outputs = self._random.choice([1, 2, 7, 8, 40, 300])
        parts_of_surprise: list[Any] = []
        if readout == "surprise":
            parts_of_surprise, outputs = self._parts(numbers)
        parts: dict[str, Any] = {"outputs": self._or_wrong(outputs, HUGE)}
        if outputs <= 7:
            parts["weight"] = self._floats((outputs, (below + 15) // 16 * 16))
            parts["bias"] = self._floats((outputs,))
        else:
            made = self._product("fp32", below, outputs, 1)
            parts |= made if isinstance(made, dict) else {}
        plain = readout in ("outputs", "skip")
        kind = self._random.choice(["linear", "sigmoid", "softmax"]) if plain else "linear"
        top = self._random.randint(1, outputs) if readout.startswith("top") else 0
        top = self._or_wrong(top, [outputs + 1, outputs + 1, self._random.choice(HUGE)])
        model.set_head(
            self._or_wrong(kind, ["", "tanh", None]),
            self._without(parts),
            skip=self._floats((len(numbers), outputs)) if readout.endswith("skip") else None,
            top=top,
            surprise=self._or_wrong(parts_of_surprise, [None, [()], [(True, 0, 0, 1, None)], 3]),
        )
        self._top = top

    def _parts(self, numbers: list[int]) -> tuple[list[Any], int]:
        """Return the parts of a surprise, and how many outputs the head has."""
        random, parts, outputs = self._random, [], 0
        for _ in range(random.randrange(1, 6)):
            column = random.randrange(self._row_size)
            categorical = column in self._tables or random.random() < 0.3
            size = self._tables.get(column, random.choice([1, 2, 7])) if categorical else 2
            missing = random.choice([None, *range(self._row_size)])
            output = random.choice([outputs, 0 if size <= outputs else outputs])
            outputs = max(outputs, output + size)
            part = (categorical, column, output, size, missing)
            wrong = [outputs - 1, outputs, outputs + 1, self._row_size, self._random.choice(HUGE)]
            parts.append(tuple(self._or_wrong(member, wrong) for member in part))
        return parts, outputs + random.choice([0, 0, 1, 20])

    def _add_layer(self, model, precision, cell, size, below) -> None:
        gates, before = CELLS[cell], cell == "gru_before"
        names = {
            **dict.fromkeys(("gain_input", "shift_input"), gates),
            **dict.fromkeys(("gain_recurrent", "shift_recurrent"), 2 if before else gates),
            **(dict.fromkeys(("gain_candidate", "shift_candidate"), 1) if before else {}),
            **(dict.fromkeys(("gain_cell", "bias_cell"), 1) if cell == "lstm" else {}),
        }
        panels = (size + 15) // 16
        norms = {name: self._floats((panels * count * 16,)) for name, count in names.items()}
        model.add_layer(
            self._or_wrong(cell, ["", "GRU", "transformer", None]),
            self._or_wrong(size, HUGE),
            self._is_residual != self._is_wrong(),
            self._product(precision, below, size, gates),
            self._product(precision, size, size, 2 if before else gates),
            self._product(precision, size, size, 1) if before != self._is_wrong() else None,
            self._without(norms) if self._random.random() < 0.4 else None,
            **self._extras(cell, size),
        )

    def _extras(self, cell: str, size: int) -> dict[str, Any]:
        """Return what few layers have."""
        wrong = [-0.1, 1.0, float("nan"), None, "0"]
        extras: dict[str, Any] = {}
        if self._random.random() < 0.2:
            extras["zoneout"] = self._or_wrong(0.25, wrong)
        if self._random.random() < 0.2:
            extras["initial"] = self._floats((size * (2 if cell == "lstm" else 1),))
        if cell == "lstm" or self._is_wrong():
            if self._random.random() < 0.2:
                extras["zoneout_cell"] = self._or_wrong(0.25, wrong)
            if self._random.random() < 0.3:
                extras["peephole"] = self._floats(((size + 15) // 16 * 48,))
        return extras

    def _product(self, precision, inputs, size, gates) -> Any:
        panels, steps = (size + 15) // 16, -(-inputs // PER_STEP.get(precision, 1))
        shape = (panels, steps, gates, 64)
        if precision == "int8":
            weights = self._numbers.integers(-127, 128, shape, dtype=np.int8).view(np.uint8)
        elif precision == "bf16":
            weights = self._numbers.normal(0, 0.3, (panels, steps, gates, 32)).astype(np.float32)
            weights = np.ascontiguousarray(weights.view(np.uint16)[..., 1::2]).view(np.uint8)
        else:
            weights = self._numbers.normal(0, 0.3, (panels, steps, gates, 16)).astype(np.float32)
            weights = weights.view(np.uint8)
        width = panels * gates * 16
        parts = {"weights": self._spoiled(weights), "bias": self._floats((width,))}
        if precision == "int8":
            start = self._numbers.integers(-(2**31), 2**31, width, dtype=np.int64).astype(np.int32)
            parts |= {
                "scale": self._floats((width,)),
                "start": self._spoiled(start),
                "bounded": self._or_wrong(self._random.random() < 0.5, [None, 2, "yes"]),
            }
        return self._or_wrong(self._without(parts), [None, [], 7])

    def _used(self, model: core.Model) -> None:
        random = self._random
        n, sessions = random.choice([0, 1, 2, 70]), random.choice([1, 3, 80])
        rows = self._rows(n)
        slots = self._numbers.integers(0, sessions, n)
        if n and self._is_wrong():
            slots[random.randrange(n)] = random.choice([-1, sessions, 2**40, -(2**63)])
        states = np.zeros((sessions, model.state_size), dtype=np.float32)
        outputs = self._between(n, model.answer_size)
        model.step(self._spoiled(rows), self._spoiled(slots), states, self._spoiled(outputs))
        one = np.zeros(model.state_size, dtype=np.float32)
        outputs = self._between(n, model.answer_size)
        model.run(self._spoiled(rows), self._spoiled(one), self._spoiled(outputs))
        arena = core.Arena(model.state_size, 0, model.initial)
        ids = [f"s{slot}" for slot in range(n)]
        core.step(model, arena, ids, rows, self._spoiled(self._between(n, model.answer_size)))
        core.run(model, arena, "s0", rows, self._spoiled(self._between(n, model.answer_size)))
        answers = self._between(n, model.answer_size)
        model.run(rows, np.zeros(model.state_size, dtype=np.float32), answers)
        for answer in answers[np.isfinite(answers).all(axis=1)] if self._top else ():
            named = {*answer[self._top :].tolist()}
            assert len(named) == self._top, "an output is named twice"
            assert max(named) < model.output_size, "no such output is named"
        if model.output_size > 7 and (model.answer_size == model.output_size or self._is_wrong()):
            k = self._or_wrong(3, [0, 7, 8, 41])
            scores, indices = self._between(n, k), np.zeros((n, k), np.int64)
            parts = self._spoiled(scores), self._spoiled(indices)
            model.step_top(self._spoiled(rows), self._spoiled(slots), states, *parts)

    def _rows(self, n: int) -> np.ndarray:
        """Return encoded rows: indices of the tables, and any number elsewhere."""
        rows = self._numbers.choice(NUMBERS, (n, self._row_size)).astype(np.float32)
        for column, size in self._tables.items():
            rows[:, column] = self._numbers.integers(0, size + self._is_wrong(), n)
        return rows


class WordsTarget(Calls):
    """`core.AnswerWords` of any pieces or classes, and the words of some answers."""

    def _made(self) -> Callable[[], None]:
        random = self._random
        if random.random() < 0.3:
            classes = [self._or_wrong(name, [None, 7]) for name in random.sample(NAMES, 4)]
            classes = self._or_wrong(classes[: random.randrange(2, 5)], [[], ['"one"'], None])
            most = self._or_wrong(random.randrange(6), HUGE)
            words = core.AnswerWords.classify('"1"', classes, '"label"', most)
            size = 1 if len(classes) == 2 else len(classes)
        else:
            size = random.choice([1, 2, 9])
            shared = random.sample(NAMES, 4)
            pieces = [self._piece(size, shared) for _ in range(random.randrange(7))]
            words = core.AnswerWords.template(
                self._or_wrong('"1"', [None, 1]),
                self._or_wrong(size, HUGE),
                self._or_wrong(pieces, [None, (), [7]]),
                self._or_wrong("]", [None, b"]"]),
            )
        return lambda: self._used(words, size)

    def _piece(self, size: int, shared: list[str]) -> Any:
        random = self._random
        kind = random.choice(["number", "above", "name"])
        index = self._or_wrong(random.randrange(size), [size, *HUGE])
        rest: list[Any] = [random.choice([shared, [], shared[:1]])]
        if kind != "name":
            rest = [random.choice(NUMBERS) for _ in range(2 if kind == "number" else 1)]
        piece = (kind, random.choice(["", "[", ',"é":']), index, *rest)
        wrong = [piece[:-1], (*piece, 0), (), kind, [*piece], ("share", *piece[1:])]
        return self._or_wrong(piece, wrong)

    def _used(self, words: core.AnswerWords, size: int) -> None:
        n = self._random.choice([0, 1, 5])
        answers = self._numbers.choice(NUMBERS, (n, size)).astype(np.float32)
        found = words.answers(self._spoiled(answers))
        assert all(isinstance(answer, bytes) for answer in found)


class SchemaTarget(Calls):
    """A `core.Encoder` of any fields, and events through it: no float is beyond its bounds."""

    def _made(self) -> Callable[[], None]:
        random = self._random
        self._fields = [random.random() < 0.3 for _ in range(random.randrange(1, 5))]
        places = iter(range(40))
        slots = iter(range(40))
        specs = []
        for index, is_text in enumerate(self._fields):
            low, high = sorted(random.sample([-np.inf, -1.0, 0.0, 2.0, 1e150, np.inf], 2))
            constant = random.random() < 0.2
            spec = (
                f"f{index}",
                next(places),
                next(places) if random.random() < 0.3 else None,
                next(slots) if constant or random.random() < 0.3 else None,
                random.random() < 0.2,
                constant,
                not is_text and random.random() < 0.3,
                random.choice([0.0, 1.0]),
                *self._or_wrong((low, high), [(high, low), (np.nan, np.nan), (None, 1.0)]),
                random.choice([0.0, -3.0]),
                random.choice([1.0, 0.5, 1e-9]),
                self._or_wrong(tuple(NAMES[:3]), [(), (1,), NAMES]) if is_text else None,
            )
            specs.append(tuple(self._or_wrong(member, HUGE) for member in spec))
        delta = (next(places), 0.0, 1.0) if random.random() < 0.5 else None
        hour = next(places) if random.random() < 0.3 else None
        if hour is not None:
            next(places)
        encoder = core.Encoder(
            self._spoiled_list(specs),
            delta,
            self._or_wrong(hour, HUGE),
            None,
            self._or_wrong(1.5, [np.nan, 1e308, None]),
            self._or_wrong(None, [[0], list(range(len(specs)))[::-1], [2**40]]),
        )
        return lambda: self._used(encoder)

    def _spoiled_list(self, specs: list[Any]) -> Any:
        return self._or_wrong(specs, [specs[::-1], [*specs, specs[0]], [], None])

    def _used(self, encoder: core.Encoder) -> None:
        random, n = self._random, self._random.choice([0, 1, 30])
        columns: dict[str, Any] = {}
        for index, is_text in enumerate(self._fields):
            values: Any = self._numbers.choice(NUMBERS, n)
            if is_text:
                values = np.array([random.choice([*NAMES, None]) for _ in range(n)], dtype=object)
            columns[f"f{index}"] = self._or_wrong(values, [None, values[:-1], values.tolist()])
        times = self._numbers.choice(NUMBERS, n)
        states = np.full((n, encoder.state_size), np.nan)
        rows = self._between(n, encoder.width)
        encoder.encode(self._without(columns), self._spoiled(times), states, self._spoiled(rows))

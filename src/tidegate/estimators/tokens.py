"""Sequences of tokens: of items, of words, of characters; text, or whole numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import narwhals as nw
import numpy as np

from tidegate.errors import InputError, shown
from tidegate.estimators import events
from tidegate.estimators.base import RecurrentEstimator
from tidegate.estimators.events import Layout
from tidegate.estimators.parameters import plain
from tidegate.schema import Field, SchemaConfig
from tidegate.tables import EventTable

__all__ = ["TokenEstimator", "are_text", "name_of", "of_tokens", "sequences"]


_MANY = (list, tuple, np.ndarray)


class TokenEstimator(RecurrentEstimator):
    """An estimator of what comes next in sequences of tokens.

    Parameters
    ----------
    field : str
        The column of a frame that holds the tokens; of sequences, what they are called.
    **shared
        As of `RecurrentEstimator`.
    """

    def __init__(self, *, field: str, **shared: Any) -> None:
        super().__init__(**shared)
        self.field = field

    def _read(self, X: Any, *, reset: bool) -> tuple[SchemaConfig, EventTable]:
        if events.is_frame(X):
            events.require(X, {self.session: "session", self.field: "field"})
            if reset:
                whole = nw.from_native(X, eager_only=True).schema[self.field].is_integer()
                self._given: dict[str, Any] | type[int] | type[str] = int if whole else str
            return super()._read(X, reset=reset)
        found = self._sequences(X)
        self._keep(Layout("tokens", 1), reset=reset)
        if reset:
            self._schema = self.schema or SchemaConfig({self.field: self._token_field()})
            self._given = _names(token for sequence in found for token in sequence)
        schema = self._schema
        assert schema is not None  # or this is not what it was fitted on
        return schema, of_tokens(found, self.field)

    def _sequences(self, X: Any) -> list[list[Any]]:
        return sequences(X)

    def _schema_of(self, X: Any) -> SchemaConfig:
        fields = super()._schema_of(X).fields
        return SchemaConfig(fields | {self.field: self._token_field()})

    def _token_field(self) -> Field:
        """Return a field as wide as the layers, so that both ends can share one matrix."""
        return Field("category", embedding_size=plain(self.hidden_size))

    def _as_given(self, names: Iterable[str]) -> list[Any]:
        """Return tokens as X had them; the unknown one is empty."""
        given = self._given
        if isinstance(given, dict):
            return [given.get(name, name) for name in names]
        return [given(name) if name else name for name in names]


def sequences(X: Any) -> list[list[Any]]:
    """Return X as lists of tokens.

    Raises
    ------
    InputError
        ``wrong_type``: it is no list of sequences, or a sequence is a text; ``no_events``: there
        is none, or one is empty.

    Examples
    --------
    >>> sequences([["tea", "rum"], np.array([7])])
    [['tea', 'rum'], [7]]
    """
    if not isinstance(X, _MANY):
        raise _no_sequences(f"X is {type(X).__name__}")
    found = []
    for place, sequence in enumerate(X):
        if not isinstance(sequence, _MANY):
            raise _no_sequences(f"sequence {place} is {shown(sequence)}")
        found.append(sequence.tolist() if isinstance(sequence, np.ndarray) else list(sequence))
        if not found[-1]:
            raise InputError(
                "no_events",
                f"sequence {place} is empty",
                field="X",
                hint="give sequences of one token or more",
            )
    if not found:
        raise InputError(
            "no_events", "there is no sequence", field="X", hint="give one sequence or more"
        )
    return found


def are_text(X: Any) -> bool:
    """Say whether X is a list of sequences, of which the first token is a text."""
    if not isinstance(X, _MANY):
        return False
    first = next((sequence for sequence in X if not _is_empty(sequence)), None)
    return isinstance(first, _MANY) and isinstance(first[0], str)


def _is_empty(sequence: Any) -> bool:
    return isinstance(sequence, _MANY) and len(sequence) == 0


def of_tokens(given: Sequence[Sequence[Any]], field: str) -> EventTable:
    """Return a table of sequences with one field; session i is called ``str(i)``.

    Raises
    ------
    InputError
        ``wrong_type``: a token is neither text nor a whole number.

    Examples
    --------
    >>> table = of_tokens([["tea", 7], ["rum"]], "item")
    >>> table.columns["item"].tolist(), table.offsets.tolist()
    (['tea', '7', 'rum'], [0, 2, 3])
    """
    names = [name_of(token) for sequence in given for token in sequence]
    lengths = [len(sequence) for sequence in given]
    return EventTable(
        sessions=[str(place) for place in range(len(given))],
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        times=np.zeros(len(names)),
        columns={field: np.array(names, dtype=object)},
        labels=None,
        source_rows=np.arange(len(names)),
    )


def name_of(token: Any) -> str:
    """Return what a schema calls a token: text as it is, a whole number as its decimal text."""
    if isinstance(token, str):
        return str(token)
    if isinstance(token, int | np.integer) and not isinstance(token, bool):
        return str(int(token))
    raise InputError(
        "wrong_type",
        f"{shown(token)} is {type(token).__name__}, and tokens are text or whole numbers",
        field="X",
        hint="leave out what is missing; give numbers that are measured to other estimators",
    )


def _names(tokens: Iterable[Any]) -> dict[str, Any]:
    """Return the tokens by name.

    Examples
    --------
    >>> _names([1, "1"])
    Traceback (most recent call last):
    tidegate.errors.InputError: X: 1 is a number and a text (wrong_type); give one of the two
    """
    found: dict[str, Any] = {}
    for token in tokens:
        before = found.setdefault(name_of(token), token)
        if isinstance(before, str) != isinstance(token, str):
            raise InputError(
                "wrong_type",
                f"{token} is a number and a text",
                field="X",
                hint="give one of the two",
            )
    return found


def _no_sequences(message: str) -> InputError:
    return InputError(
        "wrong_type",
        message,
        field="X",
        hint="give a list of sequences, each a list of tokens, or a frame with a row for each",
    )

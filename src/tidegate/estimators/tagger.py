"""An estimator that labels each event of a sequence."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from tidegate import tasks
from tidegate.answers import Classify
from tidegate.answers.metrics import log_softmax
from tidegate.errors import InputError
from tidegate.estimators import served, tokens
from tidegate.estimators.base import RecurrentEstimator
from tidegate.estimators.events import Layout
from tidegate.schema import Field, SchemaConfig
from tidegate.tables import EventTable

__all__ = ["RecurrentTagger"]


class RecurrentTagger(RecurrentEstimator):
    """Labels each event of a sequence: parts of speech, entities, phases of a process.

    X is a list of sequences of tokens (text), or what the other estimators take; y has a sequence
    of labels for each of X, None where there is no label. Of a frame, y has a label for each row.

    Parameters
    ----------
    **shared
        As of `RecurrentEstimator`; ``bidirectional=True`` is worth trying where nothing is served.

    Attributes
    ----------
    classes_ : array (classes,)
        Sorted, in the order of the columns of `predict_proba`.
    trained_, n_features_in_
        As of `RecurrentEstimator`.

    Examples
    --------
    >>> X = [["in", "Rio"], ["Ann", "met", "Bo"], ["Bo", "in", "Rio"]] * 30
    >>> y = [["O", "B-LOC"], ["B-PER", "O", "B-PER"], ["B-PER", "O", "B-LOC"]] * 30
    >>> model = RecurrentTagger(hidden_size=8, epochs=15, batch_tokens=32, random_state=0).fit(X, y)
    >>> model.predict([["Bo", "in", "Rio"]])
    [['B-PER', 'O', 'B-LOC']]
    >>> model.score(X, y)  # F1 of entities, as the labels tell some
    1.0
    """

    _stratified = False  # what the last labels are tells nothing

    def fit(self, X: Any, y: Any) -> Self:
        """Learn from sequences and their labels.

        Parameters
        ----------
        X : list of lists, frame, list of arrays, or array
            Sequences.
        y : list of sequences of labels; of a frame, array (rows,)
            Text, numbers or truths; None (or NaN) where there is no label.

        Raises
        ------
        InputError
            ``bad_labels``: y does not fit X, or no event has a label; ``one_class``; ``wrong_type``
            and ``no_events``: what makes no sequences; from `train_model`.
        """
        config, table = self._read(X, reset=True)
        labels = self._flat(table, y)
        known = {str(each): each for each in labels if each is not None}
        kinds = sorted({_kind(each) for each in known.values()})
        if len(kinds) != 1:
            raise InputError(
                "bad_labels",
                f"labels are {' and '.join(kinds)}" if kinds else "no event has a label",
                field="y",
                hint="give labels of one kind: text, numbers or truths",
            )
        names = tuple(str(each) for each in sorted(known.values()))
        names = tuple((self.task or {}).get("classes", names))
        self._learn(config, _labelled(table, labels), {"name": "tag", "classes": names})
        self.classes_ = np.array([known.get(name, name) for name in names])
        return self

    def predict(self, X: Any) -> Any:
        """Return the likeliest label of each event: a list for each sequence.

        Of a frame: an array (rows,).
        """
        table, logits = self._logits(X)
        labels = self.classes_[logits.argmax(axis=1)]
        apart = self._apart(table, labels)
        return apart if apart is labels else [each.tolist() for each in apart]

    def predict_proba(self, X: Any) -> Any:
        """Return the probability of each label: an array (events, classes) for each sequence.

        Of a frame: an array (rows, classes).
        """
        table, logits = self._logits(X)
        return self._apart(table, np.exp(log_softmax(logits)))

    def score(self, X: Any, y: Any) -> float:
        """Return F1 of entities where labels tell some (``B-``, ``I-``, ``O``), else the accuracy.

        Raises
        ------
        InputError
            ``bad_labels``: y does not fit X; ``unknown_class``: a label that training never saw;
            ``no_labels``: there is none.
        """
        table, found = self._run(X)
        table = _labelled(table, self._flat(table, y))
        return self._measured(table, found, tasks.open(self.trained_.task).watch)

    def _logits(self, X: Any) -> tuple[EventTable, NDArray[np.float64]]:
        """Return X as a table, and the logits of its events in the order of X."""
        table, found = self._run(X)
        half = self._half
        assert isinstance(half, Classify)
        return table, half.logits(served.arranged(table, found, "event"))

    def _apart(self, table: EventTable, found: NDArray[Any]) -> Any:
        """Return what events have as a list of sequences, if X is one of those."""
        if self._layout.kind == "frame":
            return found
        return np.split(found, table.offsets[1:-1])

    def _flat(self, table: EventTable, y: Any) -> list[Any]:
        """Return the labels of a table's events in the order of X."""
        try:
            labels = [_plain(each) for each in y] if self._layout.kind == "frame" else None
            apart = [[_plain(each) for each in sequence] for sequence in ([] if labels else y)]
        except TypeError as error:
            raise _bad_labels("y is no sequence of sequences") from error
        if labels is None:
            lengths = table.lengths.tolist()
            if len(apart) != len(lengths):
                raise _bad_labels(f"{len(apart)} sequences of labels for {len(lengths)} sequences")
            for place, (given, length) in enumerate(zip(apart, lengths, strict=True)):
                if len(given) != length:
                    raise _bad_labels(f"sequence {place}: {len(given)} labels of {length} events")
            labels = [each for sequence in apart for each in sequence]
        if len(labels) != table.n_events:
            raise _bad_labels(f"{len(labels)} labels of {table.n_events} rows")
        return labels

    def _read(self, X: Any, *, reset: bool) -> tuple[SchemaConfig, EventTable]:
        if not tokens.are_text(X):
            return super()._read(X, reset=reset)
        self._keep(Layout("tokens", 1), reset=reset)
        if reset:
            self._schema = self.schema or SchemaConfig({"token": Field("category")})
        schema = self._schema
        assert schema is not None  # or this is not what it was fitted on
        return schema, tokens.of_tokens(tokens.sequences(X), next(iter(schema.fields)))


def _labelled(table: EventTable, labels: list[Any]) -> EventTable:
    names = np.array([None if each is None else str(each) for each in labels], dtype=object)
    return replace(table, labels=names[table.source_rows])


def _plain(label: Any) -> Any:
    """Return a label as Python has it; None where it is missing."""
    plain = label.item() if isinstance(label, np.generic) else label
    # What pandas calls NA is not equal to itself either, but does not say so.
    missing = plain is None or type(plain).__name__ == "NAType" or plain != plain
    return None if missing else plain


def _kind(label: Any) -> str:
    if isinstance(label, bool):
        return "truths"
    return "text" if isinstance(label, str) else "numbers"


def _bad_labels(message: str) -> InputError:
    return InputError(
        "bad_labels",
        message,
        field="y",
        hint="give a label, or None, for each event: a list for each sequence, or one for each row "
        "of a frame",
    )

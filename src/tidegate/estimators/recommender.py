"""An estimator that names the items that come next."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Self

import msgspec
import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from tidegate.errors import InputError
from tidegate.estimators import served
from tidegate.estimators.parameters import checked
from tidegate.estimators.tokens import TokenEstimator
from tidegate.tasks.config import ItemsConfig

__all__ = ["RecurrentRecommender"]


class RecurrentRecommender(TokenEstimator):
    """Names the items that come next in a session, from all that came before in it.

    X is a list of sessions, each a list of items (text or whole numbers), or a long frame with a
    row for each: columns ``session`` and ``item``, or other names.

    Parameters
    ----------
    k : int
        Items that `predict` names, and the place up to which `score` counts.
    field : str
        The column of a frame that holds the items.
    **shared
        As of `RecurrentEstimator`; ``task={"items": {...}}`` holds what else section
        ``[task.items]`` of a configuration does, such as the loss.

    Attributes
    ----------
    items_ : array (items,)
        What can be named, as X has it.
    trained_, n_features_in_
        As of `RecurrentEstimator`.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> X = [[(int(at) + i) % 9 for i in range(5)] for at in rng.integers(9, size=100)]
    >>> model = RecurrentRecommender(k=2, hidden_size=16, epochs=10, random_state=0).fit(X)
    >>> model.predict([[3, 4, 5], [8]])[:, 0].tolist()
    [6, 0]
    >>> model.score(X)  # recall@2
    1.0
    """

    def __init__(self, *, k: int = 20, field: str = "item", **shared: Any) -> None:
        super().__init__(field=field, **shared)
        self.k = k

    def fit(self, X: Any, y: Any = None) -> Self:  # noqa: ARG002 - scikit-learn's signature
        """Learn from sessions.

        Parameters
        ----------
        X : list of lists, or frame
            Sessions of items.
        y : None
            Is not read: what is learned comes next in X.

        Raises
        ------
        InputError
            ``wrong_type``, ``no_events``: what makes no sessions; ``one_class``: fewer than two
            items; ``out_of_range``; from `train_model`.
        """
        config, table = self._read(X, reset=True)
        items = checked(ItemsConfig, {"k": self.k} | (self.task or {}).get("items", {}))
        self._learn(config, table, {"name": "next_item", "field": self.field, "items": items})
        self.items_ = np.array(self._as_given(self.trained_.task.classes[1:]))
        return self

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the likeliest next items of each session, the best first: (sessions, k).

        Of fewer items than `k`, all are named. Sessions of a frame stand in the order in which they
        begin in it. What training never saw is read, and never named.
        """
        return self.recommend(X)

    def recommend(self, X: Any, k: int | None = None) -> NDArray[Any]:
        """Return what `predict` does, with another number of items.

        Raises
        ------
        InputError
            ``out_of_range``: `k` is less than 1, or more than there are items.
        """
        check_is_fitted(self)
        bundle = served.bundle_of(self.trained_)
        known = len(self.items_)
        k = bundle.spec.top if k is None else k
        if not 1 <= k <= known:
            raise InputError(
                "out_of_range",
                f"{k} items are wanted, and {known} are known",
                field="k",
                hint=f"use 1 to {known}",
            )
        more = replace(bundle, spec=msgspec.structs.replace(bundle.spec, top=k))
        table, found = self._run(X, more)
        best = served.arranged(table, found, "session")[:, k:].astype(np.int64)
        return np.asarray(self.items_[best - 1])

    def score(self, X: Any, y: Any = None) -> float:  # noqa: ARG002 - scikit-learn's signature
        """Return recall@k: the share of events whose next item is among the `k` that are named.

        All items are ranked. An item that training never saw counts as a miss.

        Raises
        ------
        InputError
            ``no_labels``: no session has two items.
        """
        return self._measured(*self._run(X), "recall")

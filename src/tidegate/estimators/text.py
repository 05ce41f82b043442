"""An estimator of texts: what comes next in them, and how likely they are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import islice
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from tidegate.answers import Classify
from tidegate.answers.metrics import log_softmax
from tidegate.answers.sampling import Sampling
from tidegate.engine import Engine
from tidegate.engine.generation import generate
from tidegate.errors import InputError
from tidegate.estimators import served, tokens
from tidegate.estimators.tokens import TokenEstimator

__all__ = ["RecurrentLanguageModel"]


class RecurrentLanguageModel(TokenEstimator):
    """Learns how texts go on: the next token, of a vocabulary.

    X is a list of texts, or of sequences of tokens (text or whole numbers), or a long frame with a
    row a token: columns ``session`` and ``token``, or other names. It trains on texts side by side:
    give one long text as its parts.

    Parameters
    ----------
    unit : {"character", "word"}
        What a token of a text is; words stand between white space.
    field : str
        The column of a frame that holds the tokens.
    **shared
        As of `RecurrentEstimator`.

    Attributes
    ----------
    vocabulary_ : array (tokens,)
        The tokens, as X has them, in the order of the columns of `predict_proba`; the first, an
        empty text, stands for all that training did not know.
    trained_, n_features_in_
        As of `RecurrentEstimator`.

    Examples
    --------
    >>> model = RecurrentLanguageModel(hidden_size=16, epochs=30, random_state=0)
    >>> model = model.fit(["tick tock " * 20] * 20)
    >>> model.generate("tick t", 8, temperature=0)
    'ock tick'
    >>> bool(model.score(["tick tock"]) > -0.5)  # log likelihood a token
    True
    """

    def __init__(
        self,
        *,
        unit: Literal["character", "word"] = "character",
        field: str = "token",
        **shared: Any,
    ) -> None:
        super().__init__(field=field, **shared)
        self.unit = unit

    def fit(self, X: Any, y: Any = None) -> Self:  # noqa: ARG002 - scikit-learn's signature
        """Learn from texts.

        Parameters
        ----------
        X : list of str, list of lists, or frame
            Texts.
        y : None
            Is not read: what is learned comes next in X.

        Raises
        ------
        InputError
            ``wrong_type``, ``no_events``: what makes no texts; ``one_class``: all tokens are the
            same; from `train_model`.
        """
        if self.unit not in ("character", "word"):
            raise InputError(
                "out_of_range",
                f"{self.unit!r} is no unit",
                field="unit",
                hint='use "character" or "word"',
            )
        config, table = self._read(X, reset=True)
        self._texts = min(len(table.sessions), 16)
        self._learn(config, table, {"name": "language", "field": self.field})
        self.vocabulary_ = np.array(self._as_given(self.trained_.task.classes), dtype=object)
        return self

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the likeliest next token of each text, (texts,)."""
        likeliest = self._logits(X).argmax(axis=1)
        return np.asarray(self.vocabulary_[likeliest])

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Return the probability of each token to come next, (texts, tokens)."""
        return np.exp(log_softmax(self._logits(X)))

    def score(self, X: Any, y: Any = None) -> float:  # noqa: ARG002 - scikit-learn's signature
        """Return the mean log likelihood of a token, given those before it (nats).

        Higher is better, 0 is the most. The first token of a text is not foretold.

        Raises
        ------
        InputError
            ``no_labels``: no text has two tokens.
        """
        return -self._measured(*self._run(X), "log_loss")

    def perplexity(self, X: Any) -> float:
        """Return the exponential of minus `score`: among how many tokens it was as if drawn."""
        return math.exp(-self.score(X))

    def generate(
        self,
        prompt: str | Sequence[Any],
        length: int = 200,
        *,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        seed: int | None = None,
    ) -> Any:
        """Go on with a text, as `tidegate generate` does: each token that is drawn is read, too.

        Parameters
        ----------
        prompt : str or sequence of tokens
            How it begins.
        length : int
            Tokens to draw.
        temperature, top_k, top_p
            As `answers.sampling.Sampling` has them.
        seed : int, optional
            The same seed writes the same text.

        Returns
        -------
        str or list
            What was drawn: of a text, text.

        Raises
        ------
        InputError
            ``empty_prompt``; ``out_of_range``; ``needs_fields``: it was fitted on a frame with more
            columns.
        """
        check_is_fitted(self)
        given = self._split(prompt) if isinstance(prompt, str) else list(prompt)
        bundle = served.bundle_of(self.trained_)
        drawn = generate(
            bundle,
            [tokens.name_of(token) for token in given],
            Sampling(temperature, top_k, top_p),
            seed=seed,
            engine=Engine.open(bundle, replay=False),
        )
        found = list(islice(drawn, length))
        if not isinstance(prompt, str):
            return self._as_given(found)
        return ("" if self.unit == "character" else " ").join(found)

    def _logits(self, X: Any) -> NDArray[np.float64]:
        table, found = self._run(X)
        half = self._half
        assert isinstance(half, Classify)
        return half.logits(served.arranged(table, found, "session"))

    def _sequences(self, X: Any) -> list[list[Any]]:
        if isinstance(X, list | tuple | np.ndarray):
            X = [self._split(text) if isinstance(text, str) else text for text in X]
        return tokens.sequences(X)

    def _split(self, text: str) -> list[str]:
        return list(text) if self.unit == "character" else text.split()

    def _train_defaults(self) -> dict[str, Any]:
        """Read texts side by side, and carry their states on."""
        return {"mode": "lanes", "lanes": self._texts, "chunk": 32}

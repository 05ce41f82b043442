"""Going on with a text: each token that is drawn is the next event."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from tidegate.answers.sampling import Sampling
from tidegate.bundle import Bundle
from tidegate.engine.engine import Engine
from tidegate.errors import InputError

__all__ = ["generate", "joined", "split"]

_SESSION = "generated"


def generate(
    bundle: Bundle,
    prompt: Sequence[str],
    sampling: Sampling | None = None,
    *,
    seed: int | None = None,
    engine: Engine | None = None,
) -> Iterator[str]:
    """Yield tokens that go on with a prompt, without end.

    Parameters
    ----------
    bundle : Bundle
        Of the task ``language``, with no field but the token.
    prompt : sequence of str
        The first tokens. Those that the model does not know are to it what unknown tokens were in
        training; the unknown is never drawn.
    sampling : Sampling, optional
        How tokens are drawn.
    seed : int, optional
        The same seed draws the same tokens.
    engine : Engine, optional
        Opened on the bundle; its sessions are not touched.

    Raises
    ------
    InputError
        ``wrong_task``; ``empty_prompt``; ``bad_prompt``: no Unicode; ``out_of_range``: the seed;
        ``needs_fields``: an event holds more than its token. All before the first token.
    """
    _check(bundle, prompt, seed)
    opened = Engine.open(bundle) if engine is None else engine
    return _tokens(opened.fresh(), bundle.task.label, bundle.task.classes, prompt, sampling, seed)


def split(text: str, vocabulary: Sequence[str]) -> list[str]:
    r"""Return a text's tokens: its characters, if the vocabulary has nothing else; else its words.

    Examples
    --------
    >>> split("to be", ("", "a", "b")), split("to be", ("", "to", "be"))
    (['t', 'o', ' ', 'b', 'e'], ['to', 'be'])
    """
    return list(text) if _are_characters(vocabulary) else text.split()


def joined(tokens: Iterator[str], vocabulary: Sequence[str]) -> Iterator[str]:
    r"""Yield what to write of each token: words have a space in front, but at a line's beginning.

    Examples
    --------
    >>> "".join(joined(iter(["to", "be", "\n", "or"]), ("", "to", "be", "\n", "or")))
    ' to be\nor'
    """
    if _are_characters(vocabulary):
        yield from tokens
        return
    before = " "
    for word in tokens:
        yield word if word == "\n" else before + word
        before = "" if word == "\n" else " "


def _are_characters(vocabulary: Sequence[str]) -> bool:
    return all(len(token) <= 1 for token in vocabulary)


def _tokens(
    engine: Engine,
    field: str,
    vocabulary: Sequence[str],
    prompt: Sequence[str],
    sampling: Sampling | None,
    seed: int | None,
) -> Iterator[str]:
    rules, rng = sampling or Sampling(), np.random.default_rng(seed)

    def read(tokens: Sequence[str]) -> NDArray[np.float64]:
        columns = {field: np.array(list(tokens), dtype=object)}
        stepped = engine.step_events([_SESSION] * len(tokens), columns, np.zeros(len(tokens)))
        for error in stepped.errors.values():
            raise error
        scores: NDArray[np.float64] = stepped.outputs[-1].astype(np.float64)
        scores[0] = -np.inf  # what is unknown cannot be written
        return scores

    scores = read(prompt)
    while True:
        token = vocabulary[rules.draw(scores, rng)]
        yield token
        scores = read([token])


def _check(bundle: Bundle, prompt: Sequence[str], seed: int | None) -> None:
    if bundle.task.name != "language":
        raise InputError(
            "wrong_task",
            f"{bundle.name} {bundle.version} is a model to {bundle.task.name}",
            field="bundle",
            hint='train one with [task] name = "language"',
        )
    more = [name for name in bundle.schema.names if name != bundle.task.label]
    if more or bundle.schema.config.time is not None:
        raise InputError(
            "needs_fields",
            f"an event also needs {', '.join(more) or 'its time'}",
            field="bundle",
            hint="only a model whose events hold the token alone goes on by itself",
        )
    if len(prompt) == 0:
        raise InputError(
            "empty_prompt",
            "there is nothing to go on with",
            field="prompt",
            hint="give a token or more to begin with; a line break will do for many texts",
        )
    for token in prompt:
        if not isinstance(token, str) or not _is_unicode(token):
            raise InputError(
                "bad_prompt",
                f"{token!r} is no text that UTF-8 can write",
                field="prompt",
                hint="give tokens of valid Unicode; in a terminal, see that its encoding is UTF-8",
            )
    if seed is not None and seed < 0:
        raise InputError(
            "out_of_range", f"{seed} is less than 0", field="seed", hint="use 0 or more"
        )


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True

"""What the field says about GRU and LSTM, applied to one's own data: nothing is measured.

The rules disagree, and each is of its authors' tasks. `docs/choosing.md` has them in full.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import msgspec

from tidegate.data.profile import LengthProfile

__all__ = ["RULES", "Advice", "Facts", "Rule", "read"]

Side = Literal["gru", "lstm", "either", "neither"]


class Facts(msgspec.Struct, frozen=True):
    """What the rules ask for.

    Parameters
    ----------
    lengths : LengthProfile
        Sessions of the training part, and events of each.
    text : bool
        Whether the task is a language's.
    """

    lengths: LengthProfile
    text: bool


class Rule(msgspec.Struct, frozen=True):
    """A rule of thumb.

    Parameters
    ----------
    name : str
        What it goes by.
    says : str
        The rule.
    source : str
        Who says so.
    read : callable
        Which side it takes on some facts; None: it says nothing of such data.
    """

    name: str
    says: str
    source: str
    read: Callable[[Facts], Side | None]


class Advice(msgspec.Struct, frozen=True):
    """What a rule says of some data.

    Parameters
    ----------
    name, says, source : str
        The rule.
    side : {"gru", "lstm", "either", "neither"}, optional
        Which side it takes; None: it does not apply.
    """

    name: str
    says: str
    source: str
    side: Side | None


_LONG, _FEW, _MANY = 200, 1_000, 100_000

RULES: tuple[Rule, ...] = (
    Rule(
        "no winner",
        "gated units beat tanh units; which gated unit is better depends on the data",
        "Chung, Gulcehre, Cho, Bengio 2014",
        lambda facts: "either",  # noqa: ARG005
    ),
    Rule(
        "architecture search",
        "a GRU is better than an LSTM on most tasks, but not on language models; "
        "an LSTM whose forget bias begins at 1 closes the gap",
        "Jozefowicz, Zaremba, Sutskever 2015",
        lambda facts: "lstm" if facts.text else "gru",
    ),
    Rule(
        "variants",
        "no variant of the LSTM, the coupled gates of a GRU among them, is much better than it",
        "Greff, Srivastava, Koutnik, Steunebrink, Schmidhuber 2017",
        lambda facts: "either",  # noqa: ARG005
    ),
    Rule(
        "counting",
        "an LSTM can count without bound, a GRU cannot: for long sessions in which numbers of "
        "events decide, an LSTM",
        "Weiss, Goldberg, Yahav 2018",
        lambda facts: "lstm" if facts.lengths.p95 > _LONG else None,
    ),
    Rule(
        "length",
        f"short sessions (up to about {_LONG} events): a GRU; longer ones: an LSTM",
        "a rule of thumb of many tutorials, without a measurement",
        lambda facts: "lstm" if facts.lengths.p95 > _LONG else "gru",
    ),
    Rule(
        "samples",
        f"few sessions (below about {_FEW:,}): a GRU has fewer weights to learn; very many "
        f"(above about {_MANY:,}): an LSTM may use them",
        "a rule of thumb of many tutorials, without a measurement",
        lambda facts: (
            "gru"
            if facts.lengths.sessions < _FEW
            else "lstm"
            if facts.lengths.sessions > _MANY
            else None
        ),
    ),
    Rule(
        "convolution",
        "before either, try a temporal convolution: it did better on most sequence tasks tried",
        "Bai, Kolter, Koltun 2018",
        lambda facts: "neither",  # noqa: ARG005
    ),
    Rule(
        "memory",
        "a session of an LSTM keeps two vectors, one of a GRU one: with as many units, twice the "
        "memory and a third more arithmetic",
        "arithmetic",
        lambda facts: "gru",  # noqa: ARG005
    ),
)


def read(facts: Facts) -> list[Advice]:
    """Return what every rule says of some data."""
    return [Advice(rule.name, rule.says, rule.source, rule.read(facts)) for rule in RULES]

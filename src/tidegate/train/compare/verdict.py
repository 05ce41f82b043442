"""What a comparison says: whether the differences mean anything, and what they cost."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import mean

from tidegate.train.compare.statistics import Difference, paired
from tidegate.train.compare.study import Comparison, Entry

__all__ = ["Verdict", "between", "judge"]


@dataclass(frozen=True)
class Gap:
    """How far one contestant is from another, positive where it is better.

    Parameters
    ----------
    seeds : Difference
        Pairs of trainings with the same seed: what chance in training does.
    sessions : Difference
        Pairs of groups of the same sessions, each a mean over seeds: what the choice of sessions
        does.
    """

    seeds: Difference
    sessions: Difference

    @property
    def told(self) -> bool:
        """Whether neither kind of chance explains it."""
        return self.seeds.told and self.sessions.told


@dataclass(frozen=True)
class Verdict:
    """A recommendation and its reasons.

    Parameters
    ----------
    choice : str
        Who is recommended.
    best : str
        Whose mean is best.
    as_good : tuple of str
        Who cannot be told from the best, the best among them.
    reasons : tuple of str
        Sentences, each with its numbers.
    """

    choice: str
    best: str
    as_good: tuple[str, ...]
    reasons: tuple[str, ...]


def between(comparison: Comparison, one: Entry, other: Entry) -> Gap:
    """Return by how much `one` is better than `other`."""
    watch, sign = comparison.watch, 1.0 if comparison.higher else -1.0
    seeds = paired(
        [sign * value for value in one.values(watch)],
        [sign * value for value in other.values(watch)],
    )
    groups = zip(_groups(one), _groups(other), strict=True)
    pairs = [(sign * a, sign * b) for a, b in groups if a is not None and b is not None]
    return Gap(seeds, paired([a for a, _ in pairs], [b for _, b in pairs]))


def judge(comparison: Comparison) -> Verdict:
    """Say who is recommended, and why.

    Of those that cannot be told from the best, the one whose step is the fastest: a difference
    that chance explains is no reason to pay. Who does not stream is only recommended where
    everybody who streams is worse.
    """
    watch, sign = comparison.watch, 1 if comparison.higher else -1
    ranked = sorted(comparison.entries, key=lambda each: -sign * mean(each.values(watch)))
    best = ranked[0]
    as_good = [each for each in ranked if each is best or not between(comparison, best, each).told]
    streaming = [each for each in as_good if each.streams]
    choice = min(streaming or as_good, key=_price)
    reasons = [_about(comparison, best, choice)]
    reasons += [_worse(comparison, best, each) for each in ranked if each not in as_good]
    reasons += _gru_or_lstm(comparison)
    reasons += _simple(comparison, choice)
    reasons += _said(comparison)
    names = tuple(each.name for each in as_good)
    return Verdict(choice.name, best.name, names, tuple(reasons))


def _price(entry: Entry) -> tuple[float, float]:
    return entry.cost("step_us") or float("inf"), entry.seconds


def _groups(entry: Entry) -> list[float | None]:
    columns = zip(*(trial.groups for trial in entry.trials), strict=True)
    return [
        mean(value for value in column if value is not None)
        if all(value is not None for value in column)
        else None
        for column in columns
    ]


def _shown(comparison: Comparison, entry: Entry) -> str:
    return f"{mean(entry.values(comparison.watch)):.4g}"


def _about(comparison: Comparison, best: Entry, choice: Entry) -> str:
    watch = comparison.watch
    if choice is best:
        return f"{best.name} has the best {watch}: {_shown(comparison, best)}."
    gap = between(comparison, best, choice)
    return (
        f"{best.name} has the best {watch} ({_shown(comparison, best)}), but {choice.name} "
        f"({_shown(comparison, choice)}) cannot be told from it ({_chance(gap)}), and costs less: "
        f"{_costs(choice)} against {_costs(best)}."
    )


def _worse(comparison: Comparison, best: Entry, entry: Entry) -> str:
    gap = between(comparison, best, entry)
    return (
        f"{entry.name} is worse than {best.name} by {gap.seeds.mean:.3g} "
        f"{comparison.watch} ({_chance(gap)})."
    )


def _gru_or_lstm(comparison: Comparison) -> list[str]:
    by_name = {entry.name: entry for entry in comparison.entries}
    if not {"gru", "lstm"} <= by_name.keys():
        return []
    gru, lstm = by_name["gru"], by_name["lstm"]
    gap = between(comparison, gru, lstm)
    meaning = "means something" if gap.told else "means nothing that these runs could tell"
    better, by = ("gru", gap.seeds.mean) if gap.seeds.mean >= 0 else ("lstm", -gap.seeds.mean)
    return [
        f"GRU or LSTM: {better} is better by {by:.3g} {comparison.watch}, which {meaning} "
        f"({_chance(gap)}). An LSTM of as many parameters costs {_costs(lstm)}, a GRU "
        f"{_costs(gru)}."
    ]


def _simple(comparison: Comparison, choice: Entry) -> list[str]:
    watch, sign = comparison.watch, 1 if comparison.higher else -1
    found = []
    mine = mean(choice.values(watch))
    for name, trial in comparison.simple.items():
        value = trial.test.get(watch)
        if value is None:
            continue
        better = sign * (mine - value) > 0
        found.append(
            f"{choice.name} is {'better' if better else 'NO BETTER'} than {name} "
            f"({watch} {mine:.4g} against {value:.4g})"
            + ("." if better else ": take that, if a memory is all you wanted a network for.")
        )
    return found


def _said(comparison: Comparison) -> list[str]:
    seeds = comparison.options.seeds
    few = "" if seeds >= 5 else " Fewer than 5 seeds tell little."
    return [
        f"Measured on the {comparison.part} part, {seeds} seeds, learning rate chosen from "
        f"{len(comparison.options.rates)} on the validation part.{few}"
    ]


def _chance(gap: Gap) -> str:
    return f"p {_p(gap.seeds)} over seeds, {_p(gap.sessions)} over groups of sessions"


def _p(difference: Difference) -> str:
    return "unknown" if difference.p != difference.p else f"{difference.p:.2g}"


def _costs(entry: Entry) -> str:
    step, state = entry.cost("step_us"), entry.cost("state_floats")
    parts = [f"{entry.seconds:.0f} s of training"]
    if step is not None and state is not None:
        parts += [f"{step:.1f} µs a step", f"{state:.0f} floats a session"]
    return ", ".join(parts)

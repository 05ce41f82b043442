"""What is recommended follows from the numbers, whatever they are."""

from __future__ import annotations

from typing import Any

import pytest

from tidegate.train.compare import Comparison, Options, judge
from tidegate.train.compare.costs import Cost
from tidegate.train.compare.study import Entry
from tidegate.train.compare.trials import GROUPS, Plan, Trial
from tidegate.train.compare.verdict import between

CHANCE = (0.0, 0.002, -0.002, 0.001, -0.001)


def entry(name: str, auc: float, step_us: float | None, *, chance: float = 1.0) -> Entry:
    trials = tuple(
        Trial(
            Plan(name, 0.01, seed),
            "key",
            3,
            2,
            10.0,
            {"auc": auc},
            {"auc": auc + chance * wobble * (-1 if name == "gru" else 1)},
            tuple(auc + chance * wobble * (-1) ** group for group in range(GROUPS)),
            cost=None if step_us is None else Cost(1000, 64, step_us),
        )
        for seed, wobble in enumerate(CHANCE)
    )
    return Entry(name, {}, 100, 90, step_us is not None, 0.01, (), trials)


def comparison(*entries: Entry, **simple: float) -> Comparison:
    return Comparison(
        "classify",
        "late",
        "auc",
        True,
        "test",
        {},
        {},
        Options(("gru",)),
        entries,
        {
            name: Trial(Plan(name, 0, 0), "key", 0, 0, 0, {}, {"auc": v})
            for name, v in simple.items()
        },
        (),
        {},
        {},
        "key",
    )


def test_what_chance_explains_is_no_reason_to_pay() -> None:
    verdict = judge(comparison(entry("gru", 0.8000, 1.0), entry("lstm", 0.8002, 1.5)))
    assert (verdict.choice, verdict.best) == ("gru", "lstm")
    assert set(verdict.as_good) == {"gru", "lstm"}
    assert "means nothing" in " ".join(verdict.reasons)


def test_what_chance_does_not_explain_is() -> None:
    found = comparison(entry("gru", 0.70, 1.0), entry("lstm", 0.80, 1.5), boosting=0.75)
    verdict = judge(found)
    assert (verdict.choice, verdict.as_good) == ("lstm", ("lstm",))
    said = " ".join(verdict.reasons)
    assert "gru is worse than lstm by 0.1 auc" in said
    assert "lstm is better than boosting" in said


def test_a_baseline_that_is_not_beaten_is_said() -> None:
    verdict = judge(comparison(entry("gru", 0.70, 1.0), boosting=0.75))
    assert "gru is NO BETTER than boosting" in " ".join(verdict.reasons)


def test_who_does_not_stream_is_taken_only_if_all_others_are_worse() -> None:
    same = judge(comparison(entry("gru", 0.800, 1.0), entry("transformer", 0.801, None)))
    assert (same.choice, same.best) == ("gru", "transformer")
    better = judge(comparison(entry("gru", 0.7, 1.0), entry("transformer", 0.8, None)))
    assert better.choice == "transformer"


def test_lower_may_be_better() -> None:
    found = comparison(entry("gru", 0.70, 1.0), entry("lstm", 0.80, 1.5))
    lower = Comparison(**{**_members(found), "higher": False})
    assert judge(lower).choice == "gru"
    gap = between(lower, lower.entries[0], lower.entries[1])
    assert gap.seeds.mean == pytest.approx(0.1)


def test_without_a_group_that_is_measured_nothing_is_said_of_sessions() -> None:
    """As of an AUC, where no group has both classes."""
    one, other = (
        Entry(**{**_members(each), "trials": tuple(_ungrouped(t) for t in each.trials)})
        for each in (entry("lstm", 0.9, 1.5), entry("rnn", 0.8, 1.0))
    )
    gap = between(comparison(one, other), one, other)
    assert gap.seeds.told
    assert gap.sessions.n == 0
    assert not gap.told
    assert "unknown over groups of sessions" in judge(comparison(one, other)).reasons[0]


def _ungrouped(trial: Trial) -> Trial:
    return Trial(**{**_members(trial), "groups": (None,) * GROUPS})


def _members(found: Comparison | Entry | Trial) -> dict[str, Any]:
    return {name: getattr(found, name) for name in found.__struct_fields__}


def test_trainings_of_the_same_seed_are_paired() -> None:
    """What a seed does to both is no difference: the others' values, in another order, are."""
    one, other = entry("lstm", 0.81, 1.0), entry("rnn", 0.80, 1.0)
    gap = between(comparison(one, other), one, other).seeds
    assert gap.mean == pytest.approx(0.01)
    assert gap.high - gap.low == pytest.approx(0.0, abs=1e-12)

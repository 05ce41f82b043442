"""Draws that an interruption does not change."""

from __future__ import annotations

from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, TPESampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

__all__ = ["REASON", "SteadySampler", "counts"]

REASON = "reason"
"""The attribute of a trial that failed by itself."""


def counts(trial: FrozenTrial) -> bool:
    """Say whether a trial is one of the study: not if it was cut off, which has no reason."""
    return trial.state != TrialState.FAIL or REASON in trial.user_attrs


class SteadySampler(BaseSampler):
    """A tree-structured Parzen estimator (Bergstra et al. 2011) that is seeded anew for each trial.

    Optuna keeps no sampler's random state. Here, what is drawn follows from the seed, the finished
    trials, and how many there were before: a study that was interrupted goes on as it would have.

    Parameters
    ----------
    seed : int
        Of all draws.
    startup : int
        Trials that are drawn at random.
    """

    def __init__(self, seed: int, startup: int) -> None:
        self._seed, self._startup = seed, startup
        self._tpe = self._for(0)

    def _for(self, place: int) -> TPESampler:
        (seed,) = np.random.SeedSequence([self._seed, place]).generate_state(1)
        return TPESampler(seed=int(seed), n_startup_trials=self._startup)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Seed anew, for the trial's place among those that count."""
        earlier = study.get_trials(deepcopy=False)[: trial.number]
        self._tpe = self._for(sum(map(counts, earlier)))
        self._tpe.before_trial(study, trial)

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Return what is drawn together."""
        return self._tpe.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Draw what is drawn together."""
        return self._tpe.sample_relative(study, trial, search_space)

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Draw one value by itself."""
        return self._tpe.sample_independent(study, trial, param_name, param_distribution)

"""Estimators as scikit-learn has them: fit, predict, score; sequences in, answers out.

What they train is a model like any other: `to_bundle` writes it for the server.
"""

from tidegate.estimators.forecaster import RecurrentForecaster
from tidegate.estimators.supervised import RecurrentClassifier, RecurrentRegressor

__all__ = ["RecurrentClassifier", "RecurrentForecaster", "RecurrentRegressor"]

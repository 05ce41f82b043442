"""Estimators as scikit-learn has them: fit, predict, score; sequences in, answers out.

What they train is a model like any other: `to_bundle` writes it for the server.
"""

from tidegate.estimators.detector import RecurrentAnomalyDetector
from tidegate.estimators.embedder import RecurrentEmbedder
from tidegate.estimators.forecaster import RecurrentForecaster
from tidegate.estimators.recommender import RecurrentRecommender
from tidegate.estimators.supervised import RecurrentClassifier, RecurrentRegressor
from tidegate.estimators.tagger import RecurrentTagger
from tidegate.estimators.text import RecurrentLanguageModel

__all__ = [
    "RecurrentAnomalyDetector",
    "RecurrentClassifier",
    "RecurrentEmbedder",
    "RecurrentForecaster",
    "RecurrentLanguageModel",
    "RecurrentRecommender",
    "RecurrentRegressor",
    "RecurrentTagger",
]

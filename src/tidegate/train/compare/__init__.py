"""GRU, LSTM, or neither: measured on one's own data, with the same budget for each.

`compare` measures, `judge` says what it means, `rules.read` only repeats what is said in the field.
"""

from tidegate.train.compare.contestants import NAMES, Contestant, PeerSettings, line_up
from tidegate.train.compare.statistics import Difference, paired
from tidegate.train.compare.study import Comparison, Options, compare, defaults
from tidegate.train.compare.verdict import Verdict, judge

__all__ = [
    "NAMES",
    "Comparison",
    "Contestant",
    "Difference",
    "Options",
    "PeerSettings",
    "Verdict",
    "compare",
    "defaults",
    "judge",
    "line_up",
    "paired",
]

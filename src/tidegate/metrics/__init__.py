"""Counters and histograms that every room of the gate may touch.

Labels are bounded: a model's name comes from a loaded bundle, an outcome or a kind from a fixed
list, never from a request.
"""

from tidegate.metrics.gate import GateMetrics
from tidegate.metrics.instruments import SECONDS, Distribution
from tidegate.metrics.labels import CONTINUITY_KINDS, OUTCOMES, REFUSALS, REORDERS, TRANSPORTS
from tidegate.metrics.sampled import StoreFigures, resident_bytes
from tidegate.metrics.stall import StallMeter

__all__ = [
    "CONTINUITY_KINDS",
    "OUTCOMES",
    "REFUSALS",
    "REORDERS",
    "SECONDS",
    "TRANSPORTS",
    "Distribution",
    "GateMetrics",
    "StallMeter",
    "StoreFigures",
    "resident_bytes",
]

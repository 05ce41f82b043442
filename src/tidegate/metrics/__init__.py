"""Counters and histograms that every room of the gate may touch.

Labels are bounded: a model's name comes from a loaded bundle, an outcome or a kind from a fixed
list, never from a request.
"""

from tidegate.metrics.gate import CONTINUITY_KINDS, OUTCOMES, REFUSALS, GateMetrics

__all__ = ["CONTINUITY_KINDS", "OUTCOMES", "REFUSALS", "GateMetrics"]

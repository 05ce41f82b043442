"""A training run's doctor: reads its history and names what is wrong, in the terms of the field.

`examine(read(path))` does what ``tidegate doctor`` does; `of_fit` takes a run that is in memory.
"""

from tidegate.findings import SEVERITIES, Finding, Severity
from tidegate.train.doctor.rules import examine
from tidegate.train.doctor.run import Run, of_bundle, of_fit, read

__all__ = ["SEVERITIES", "Finding", "Run", "Severity", "examine", "of_bundle", "of_fit", "read"]

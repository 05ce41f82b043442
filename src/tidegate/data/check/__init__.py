"""A check of data: what would make a result too good to be true, or say nothing.

`examine` looks at the parts of a split before anything is trained; ``tidegate check data`` does so
for a configuration.
"""

from tidegate.data.check.parts import Parts
from tidegate.data.check.rules import examine

__all__ = ["Parts", "examine"]

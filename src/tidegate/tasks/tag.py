"""Learn to label each event of a sequence."""

from __future__ import annotations

from tidegate.answers.spans import is_bio
from tidegate.spec import TaskSpec
from tidegate.tasks.classify import Classify

__all__ = ["Tag"]


class Tag(Classify):
    """Cross-entropy of each event's label, as `Classify`.

    Parameters
    ----------
    spec : TaskSpec
        With its `classes`.

    Attributes
    ----------
    watch : str
        ``f1`` of entities, where the labels tell some, else ``accuracy``.
    """

    def __init__(self, spec: TaskSpec) -> None:
        super().__init__(spec)
        self.watch = "f1" if is_bio(spec.classes) else "accuracy"

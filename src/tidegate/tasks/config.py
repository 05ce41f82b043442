"""What a user says of a task: section ``[task]`` of a training configuration."""

from __future__ import annotations

from typing import Literal

import msgspec

from tidegate.errors import InputError
from tidegate.spec import TaskName

__all__ = ["TaskConfig"]


class TaskConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Section ``[task]``: what the model is for.

    Parameters
    ----------
    name : TaskName
        The task.
    per : {"event", "session"}
        Whether each event or each session (at its last event) has a label.
    classes : tuple of str
        ``classify``: the classes in the order wanted; by default those that occur, sorted.
    class_weight : "balanced" or table of class to number, optional
        ``classify``: how much an event of each class weighs in the loss of training. Balanced, all
        classes weigh the same together; a class that a table leaves out weighs 1.
    calibrate : bool
        ``classify``: scale the head, when training ends, by the temperature that gives the
        validation part the lowest log loss.
    field : str or None
        Of a task without a label column, the field of the event that it is about, where it is about
        one.
    """

    name: TaskName
    per: Literal["event", "session"] = "event"
    classes: tuple[str, ...] = ()
    class_weight: Literal["balanced"] | dict[str, float] | None = None
    calibrate: bool = True
    field: str | None = None

    def __post_init__(self) -> None:
        if self.class_weight is not None and self.name != "classify":
            raise InputError(
                "unused_key",
                "is given",
                field="class_weight",
                hint=f"{self.name} has no use for it",
            )

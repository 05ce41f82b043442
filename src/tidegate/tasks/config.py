"""What a user says of a task: section ``[task]`` of a training configuration."""

from __future__ import annotations

from typing import Literal

import msgspec

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
    field : str or None
        Of a task without a label column, the field of the event that it is about, where it is about
        one.
    """

    name: TaskName
    per: Literal["event", "session"] = "event"
    classes: tuple[str, ...] = ()
    field: str | None = None

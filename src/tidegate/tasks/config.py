"""What a user says of a task: section ``[task]`` of a training configuration."""

from __future__ import annotations

from typing import Literal

import msgspec

from tidegate.errors import InputError
from tidegate.spec import TaskName

__all__ = ["AnomalyConfig", "TaskConfig"]


class AnomalyConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Section ``[task.anomaly]``: what is predicted, and when an event is called anomalous.

    Parameters
    ----------
    fields : tuple of str
        Fields whose values are predicted; by default all that are not constant in a session.
    false_alarm_rate : float
        Share of ordinary events that may be called anomalous.
    """

    fields: tuple[str, ...] = ()
    false_alarm_rate: float = 0.001

    def __post_init__(self) -> None:
        if not 0.0 < self.false_alarm_rate < 1.0:
            raise InputError(
                "out_of_range",
                f"{self.false_alarm_rate!r} is no share of events",
                field="false_alarm_rate",
                hint="use more than 0 and less than 1: 0.001 is one event of a thousand",
            )


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
    anomaly : AnomalyConfig or None
        Of ``anomaly``.
    """

    name: TaskName
    per: Literal["event", "session"] = "event"
    classes: tuple[str, ...] = ()
    field: str | None = None
    anomaly: AnomalyConfig | None = None

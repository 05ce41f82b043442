"""What a user says of a task: section ``[task]`` of a training configuration."""

from __future__ import annotations

from typing import Literal, get_args

import msgspec

from tidegate.errors import InputError
from tidegate.spec import ForecastSpec, ItemLoss, ItemsSpec, TaskName

__all__ = ["AnomalyConfig", "ForecastConfig", "ItemsConfig", "TaskConfig"]

MOST_AHEAD = 10_000
"""Events ahead that a forecast may look."""


class ForecastConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Section ``[task.forecast]``: how far to look ahead, and what to say of it.

    Parameters
    ----------
    horizons : int or list of int
        Events ahead: all from 1 to a number, or those of a list, such as ``[1, 24, 168]``.
    quantiles : tuple of float
        Such as 0.1, 0.5, 0.9, with 0.5 among them.
    loss : {"mse", "mae", "huber", "pinball"}, optional
        Default: ``pinball`` with quantiles, else ``mse``. Of squares the mean is foretold, of
        absolute errors the median.
    season : int
        Events of a season, of the naive forecast that metrics stand beside: 24 of hours that
        repeat from day to day. 1: the last value.
    coverage : float
        Share of the truths that intervals are to hold, such as 0.9; they are set by the errors on
        the validation part. 0: no intervals.
    """

    horizons: int | list[int]
    quantiles: tuple[float, ...] = ()
    loss: Literal["mse", "mae", "huber", "pinball"] | None = None
    season: int = 1
    coverage: float = 0.0

    def __post_init__(self) -> None:
        if isinstance(self.horizons, int) and self.horizons < 1:
            raise InputError(
                "out_of_range",
                f"{self.horizons} is no number of events ahead",
                field="horizons",
                hint="give 1 or more, or a list of rising numbers of events, such as [1, 24]",
            )
        farthest = (
            self.horizons if isinstance(self.horizons, int) else max(self.horizons, default=0)
        )
        if farthest > MOST_AHEAD:
            raise InputError(
                "out_of_range",
                f"{farthest:,} events ahead",
                field="horizons",
                hint=f"look at most {MOST_AHEAD:,} ahead, or make a series of larger steps",
            )
        self.spec()

    def spec(self, *, log: bool = False, naive_error: float = 0.0) -> ForecastSpec:
        """Return the task's spec, with what was learned of the training part.

        Raises
        ------
        InputError
            ``out_of_range``, naming the key.
        """
        ahead = self.horizons
        try:
            return ForecastSpec(
                tuple(ahead) if isinstance(ahead, list) else tuple(range(1, ahead + 1)),
                tuple(self.quantiles),
                self.loss or ("pinball" if self.quantiles else "mse"),
                log=log,
                season=self.season,
                coverage=self.coverage,
                naive_error=naive_error,
            )
        except InputError as error:
            field = (error.field or "").removeprefix("forecast.")
            raise InputError("out_of_range", error.message, field=field, hint=error.hint) from error


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


class ItemsConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Section ``[task.items]``: how the next item is learned and named; see `spec.ItemsSpec`.

    Parameters
    ----------
    k : int
        Items of an answer, and the place up to which recall, MRR and NDCG count.
    loss, negatives, batch_negatives, sample_alpha, bpr_reg, shared_embedding
        As `spec.ItemsSpec` has them.
    """

    k: int = 20
    loss: ItemLoss = "cross_entropy"
    negatives: int = 2048
    batch_negatives: int = 128
    sample_alpha: float = 0.5
    bpr_reg: float = 1.0
    shared_embedding: bool = False

    def __post_init__(self) -> None:
        rules = {
            "k": (self.k >= 1, "1 or more"),
            "loss": (self.loss in get_args(ItemLoss), f"one of {', '.join(get_args(ItemLoss))}"),
            "negatives": (self.negatives >= 0, "0 or more"),
            "batch_negatives": (self.batch_negatives >= 0, "0 or more"),
            "sample_alpha": (0.0 <= self.sample_alpha <= 1.0, "0 to 1"),
            "bpr_reg": (0.0 <= self.bpr_reg < float("inf"), "0 or more"),
        }
        if self.loss != "cross_entropy":
            some = self.negatives + self.batch_negatives >= 1
            rules["negatives"] = (self.negatives >= 0 and some, "1 or more, or batch_negatives")
        for name, (holds, rule) in rules.items():
            if not holds:
                raise InputError(
                    "out_of_range",
                    f"{getattr(self, name)!r} is not allowed",
                    field=name,
                    hint=f"use {rule}",
                )

    def spec(self, items: int, counts: tuple[int, ...]) -> ItemsSpec:
        """Return the spec for so many items; `counts` are kept where they are needed."""
        return ItemsSpec(
            top=min(self.k, items),
            loss=self.loss,
            negatives=self.negatives,
            batch_negatives=self.batch_negatives,
            sample_alpha=self.sample_alpha,
            bpr_reg=self.bpr_reg,
            shared_embedding=self.shared_embedding,
            counts=() if self.loss == "cross_entropy" else counts,
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
    class_weight : "balanced" or table of class to number, optional
        ``classify``: how much an event of each class weighs in the loss of training. Balanced, all
        classes weigh the same together; a class that a table leaves out weighs 1.
    calibrate : bool
        ``classify``: scale the head, when training ends, by the temperature that gives the
        validation part the lowest log loss.
    field : str or None
        Of a task without a label column, the field of the event that it is about, where it is about
        one.
    forecast : ForecastConfig or None
        Of ``forecast``, which needs it.
    anomaly : AnomalyConfig or None
        Of ``anomaly``.
    items : ItemsConfig
        Of ``next_item``.
    """

    name: TaskName
    per: Literal["event", "session"] = "event"
    classes: tuple[str, ...] = ()
    class_weight: Literal["balanced"] | dict[str, float] | None = None
    calibrate: bool = True
    field: str | None = None
    forecast: ForecastConfig | None = None
    anomaly: AnomalyConfig | None = None
    items: ItemsConfig = ItemsConfig()

    def __post_init__(self) -> None:
        used: dict[str, tuple[bool, tuple[TaskName, ...]]] = {
            # anomaly says itself that it has none
            "classes": (bool(self.classes), ("classify", "tag", "anomaly")),
            "class_weight": (self.class_weight is not None, ("classify",)),
            "field": (self.field is not None, ("forecast", "next_item", "language")),
            "forecast": (self.forecast is not None, ("forecast",)),
            "anomaly": (self.anomaly is not None, ("anomaly",)),
            "items": (self.items != ItemsConfig(), ("next_item",)),
        }
        for key, (given, tasks) in used.items():
            if given and self.name not in tasks:
                raise InputError(
                    "unused_key", "is given", field=key, hint=f"{self.name} has no use for it"
                )

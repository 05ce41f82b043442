"""What a model is for, and what is needed to word its answers. Plain data, as the model is."""

from __future__ import annotations

import itertools
import math
from typing import Literal, get_args

import msgspec

from tidegate.errors import InputError
from tidegate.spec.model import SurprisePart

__all__ = [
    "LABELLED",
    "AnomalySpec",
    "ForecastSpec",
    "ItemLoss",
    "ItemsSpec",
    "TaskName",
    "TaskSpec",
]


ForecastLoss = Literal["mse", "mae", "huber", "pinball"]


class ForecastSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a forecast says.

    The head's outputs are values as the schema encodes them: ``(x - target_mean) / target_scale``,
    of x or, with `log`, of ``sign(x) * log1p(|x|)``.

    Parameters
    ----------
    horizons : tuple of int
        Rising numbers of events ahead: 1 is the next one.
    quantiles : tuple of float
        Rising shares with 0.5 among them, such as 0.1, 0.5, 0.9; none: one value a horizon.
    loss : {"mse", "mae", "huber", "pinball"}
        What training makes small; ``pinball`` with quantiles, and only then.
    log : bool
        Whether the schema takes logarithms of the field.
    season : int
        Events of a season: what `naive_error` and the seasonal baseline look back.
    coverage : float
        Share of truths that ``low`` to ``high`` is to hold; 0: there are no intervals.
    margins : tuple of float
        One a horizon, in units of the outputs: how far the interval goes beyond the forecast, or
        beyond the outer quantiles. The validation part decides.
    naive_error : float
        Mean absolute error of the seasonal naive forecast, one season ahead, in training: what
        ``mase`` divides by. 0: unknown.
    """

    horizons: tuple[int, ...]
    quantiles: tuple[float, ...] = ()
    loss: ForecastLoss = "mse"
    log: bool = False
    season: int = 1
    coverage: float = 0.0
    margins: tuple[float, ...] = ()
    naive_error: float = 0.0

    def __post_init__(self) -> None:
        rising = all(a < b for a, b in itertools.pairwise(self.horizons))
        shares = all(0 < q < 1 for q in self.quantiles)
        ordered = all(a < b for a, b in itertools.pairwise(self.quantiles))
        rules: dict[str, tuple[bool, str]] = {
            "horizons": (
                bool(self.horizons) and self.horizons[0] >= 1 and rising,
                "give rising numbers of events, 1 or more each",
            ),
            "quantiles": (
                shares and ordered and (not self.quantiles or 0.5 in self.quantiles),
                "give rising shares between 0 and 1 with 0.5 among them, such as 0.1, 0.5, 0.9",
            ),
            "loss": (
                self.loss in get_args(ForecastLoss)
                and (self.loss == "pinball") == bool(self.quantiles),
                f"use one of {', '.join(get_args(ForecastLoss))}; "
                "pinball goes with quantiles, and quantiles with pinball",
            ),
            "season": (self.season >= 1, "give a number of events, 1 or more"),
            "coverage": (0 <= self.coverage < 1, "give a share, such as 0.9; 0: no intervals"),
            "margins": (
                len(self.margins) in (0, len(self.horizons)),
                "there is one a horizon",
            ),
        }
        for field, (holds, hint) in rules.items():
            if not holds:
                raise InputError(
                    "bad_spec",
                    f"{getattr(self, field)!r} makes no forecast",
                    field=f"forecast.{field}",
                    hint=hint,
                )

    @property
    def output_size(self) -> int:
        """Outputs of the head: horizons, each with its quantiles side by side."""
        return len(self.horizons) * max(1, len(self.quantiles))


ItemLoss = Literal["cross_entropy", "sampled", "bpr_max"]


class ItemsSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is said of the next item, or the next token.

    Parameters
    ----------
    top : int
        How many of the likeliest are named.
    loss : {"cross_entropy", "sampled", "bpr_max"}
        What training compares the right item with: all items, with cross-entropy; or drawn ones,
        with cross-entropy or BPR-max. See `tasks.item_losses`.
    negatives, batch_negatives : int
        Items that are drawn for a batch: by how frequent they are, and from what the batch itself
        goes on with.
    sample_alpha : float
        `negatives` are drawn as the items' counts to this power.
    bpr_reg : float
        ``bpr_max``: weight of the scores' squares.
    shared_embedding : bool
        The head's weights are the embedding of the field.
    counts : tuple of int
        How often training met each item, in the order of the head's outputs. Where all are compared
        it is empty.
    """

    top: int = 20
    loss: ItemLoss = "cross_entropy"
    negatives: int = 2048
    batch_negatives: int = 128
    sample_alpha: float = 0.5
    bpr_reg: float = 1.0
    shared_embedding: bool = False
    counts: tuple[int, ...] = ()


class AnomalySpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What tells an anomaly from an ordinary event.

    Parameters
    ----------
    fields : tuple of str
        The fields that are predicted.
    parts : tuple of SurprisePart
        How each of them is.
    threshold : float
        Surprise in nats above which an event is called anomalous.
    false_alarm_rate : float
        Share of ordinary events that the threshold was to let pass as anomalous.
    """

    fields: tuple[str, ...]
    parts: tuple[SurprisePart, ...]
    threshold: float = math.inf
    false_alarm_rate: float = 0.001

    @property
    def output_size(self) -> int:
        """Outputs of the head: those of each part."""
        return sum(part.size for part in self.parts)


TaskName = Literal[
    "classify", "regress", "forecast", "next_item", "anomaly", "tag", "language", "embed"
]

LABELLED: frozenset[TaskName] = frozenset({"classify", "regress", "tag"})
"""The tasks that learn from a label column; the others learn from the events that come."""


class TaskSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the model is for, and what is needed to word its answers.

    Parameters
    ----------
    name : TaskName
        The task.
    label : str
        Name of the label column in training tables, never a field of the event; of a task without
        one, the field that it is about.
    per : {"event", "session"}
        Whether each event has a label, or each session has one (on its last event).
    classes : tuple of str
        The classes, in the order of the head's outputs. Of ``classify`` and ``tag``, two share one
        output (the logit of the second); more have one each. Of ``next_item`` and ``language``,
        the field's values in the order of the schema's indices, after an empty text for those that
        it does not know. Of ``embed``, names of the state's numbers.
    class_weights : tuple of float
        ``classify``: how much an event of each class weighs in the loss of training; none: all the
        same. Metrics do not know them.
    temperature : float or None
        ``classify``: what the head was divided by when training ended, 1 before that. None: its
        probabilities are not calibrated.
    target_mean, target_scale : float
        ``regress``: the head's output is ``(value - target_mean) / target_scale``.
    forecast, items, anomaly : optional
        Of ``forecast``; of ``next_item`` and ``language``; of ``anomaly``.
    """

    name: TaskName
    label: str
    per: Literal["event", "session"] = "event"
    classes: tuple[str, ...] = ()
    target_mean: float = 0.0
    target_scale: float = 1.0
    class_weights: tuple[float, ...] = ()
    temperature: float | None = None
    forecast: ForecastSpec | None = None
    items: ItemsSpec | None = None
    anomaly: AnomalySpec | None = None

    @property
    def output_size(self) -> int:
        """Outputs that the head must have for this task."""
        if self.forecast is not None:
            return self.forecast.output_size
        if self.anomaly is not None:
            return self.anomaly.output_size
        if self.items is not None or self.name == "embed":
            return len(self.classes)
        return len(self.classes) if len(self.classes) > 2 else 1

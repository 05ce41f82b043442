"""What an answer holds, as cells of a row: the columns that ``tidegate score`` writes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tidegate.errors import InputError

__all__ = ["Columns", "of"]


@dataclass(frozen=True)
class Columns:
    """The columns of a task's answers.

    Parameters
    ----------
    names : tuple of str
        In order.
    texts : frozenset of str
        Those of them that hold texts; the others hold numbers.
    cells : callable
        From an answer as the server says it to its cells, in the order of `names`.
    """

    names: tuple[str, ...]
    texts: frozenset[str]
    cells: Callable[[dict[str, Any]], list[Any]]


def of(task: dict[str, Any]) -> Columns:
    """Return the columns of a task.

    Parameters
    ----------
    task : dict
        As the server describes it.

    Raises
    ------
    InputError
        ``unknown_task``: this version has no columns for it.

    Examples
    --------
    >>> spec = {"horizons": [1, 24], "margins": [], "quantiles": []}
    >>> columns = of({"name": "forecast", "forecast": spec})
    >>> columns.names, columns.cells({"forecast": [0.5, 0.25]})
    (('forecast_1', 'forecast_24'), [0.5, 0.25])
    """
    make = _OF_TASK.get(task["name"])
    if make is None:
        raise InputError(
            "unknown_task",
            f"{task['name']!r} is no task of this client",
            field="model",
            hint="use a client of the server's version",
        )
    return make(task)


def _classify(task: dict[str, Any]) -> Columns:
    classes = task["classes"]

    def cells(answer: dict[str, Any]) -> list[Any]:
        return [answer["label"], *(answer["probabilities"][name] for name in classes)]

    names = ("label", *(f"probabilities.{name}" for name in classes))
    return Columns(names, frozenset({"label"}), cells)


def _regress(task: dict[str, Any]) -> Columns:  # noqa: ARG001
    return Columns(("value",), frozenset(), lambda answer: [answer["value"]])


def _likeliest(word: str) -> Callable[[dict[str, Any]], Columns]:
    """Of many labels or tokens the likeliest alone; of two labels the second's probability."""

    def make(task: dict[str, Any]) -> Columns:
        classes = task["classes"]

        def cells(answer: dict[str, Any]) -> list[Any]:
            label = answer[word]
            return [label, answer["probabilities"][label if len(classes) > 2 else classes[1]]]

        return Columns((word, "probability"), frozenset({word}), cells)

    return make


def _next_item(task: dict[str, Any]) -> Columns:
    places = range(1, task["items"]["top"] + 1)

    def cells(answer: dict[str, Any]) -> list[Any]:
        return [cell for each in answer["items"] for cell in (each["item"], each["score"])]

    names = tuple(f"{member}_{place}" for place in places for member in ("item", "score"))
    return Columns(names, frozenset(f"item_{place}" for place in places), cells)


def _forecast(task: dict[str, Any]) -> Columns:
    spec = task["forecast"]
    lines = ("forecast", "low", "high") if spec["margins"] else ("forecast",)
    shares = tuple(f"{share:g}" for share in spec["quantiles"])

    def cells(answer: dict[str, Any]) -> list[Any]:
        quantiles = (answer["quantiles"][share] for share in shares)
        each = [*(answer[line] for line in lines), *quantiles]
        return [value for line in each for value in line]

    every = (*lines, *(f"quantile_{share}" for share in shares))
    names = tuple(f"{line}_{ahead}" for line in every for ahead in spec["horizons"])
    return Columns(names, frozenset(), cells)


def _anomaly(task: dict[str, Any]) -> Columns:
    fields = task["anomaly"]["fields"]

    def cells(answer: dict[str, Any]) -> list[Any]:
        each = (answer["fields"][field] for field in fields)
        return [answer["score"], float(answer["anomalous"]), *each]

    names = ("score", "anomalous", *(f"score of {field}" for field in fields))
    return Columns(names, frozenset(), cells)


def _embed(task: dict[str, Any]) -> Columns:
    return Columns(tuple(task["classes"]), frozenset(), lambda answer: answer["state"])


_OF_TASK: dict[str, Callable[[dict[str, Any]], Columns]] = {
    "classify": _classify,
    "regress": _regress,
    "forecast": _forecast,
    "next_item": _next_item,
    "anomaly": _anomaly,
    "tag": _likeliest("label"),
    "language": _likeliest("token"),
    "embed": _embed,
}

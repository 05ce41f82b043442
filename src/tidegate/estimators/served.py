"""What a server of the trained model would answer."""

from __future__ import annotations

from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from tidegate.bundle import Bundle
from tidegate.engine import offline
from tidegate.estimators import events
from tidegate.nn import to_bundle
from tidegate.tables import EventTable, naming_rows
from tidegate.train import Trained

__all__ = ["arranged", "bundle_of", "outputs"]

Numbers = TypeVar("Numbers", NDArray[np.float32], NDArray[np.float64])


def bundle_of(trained: Trained) -> Bundle:
    """Return a bundle for this process alone, without a baseline and test vectors."""
    return Bundle(
        name="estimator",
        version="0",
        spec=trained.spec,
        schema=trained.schema,
        task=trained.task,
        weights=to_bundle(trained.network),
        baseline={},
        vectors={},
        provenance={},
    )


def outputs(bundle: Bundle, table: EventTable) -> NDArray[np.float32]:
    """Run the engine over a table: (events, answer_size), in the table's order."""
    scorer = offline.open(bundle, replay=False)
    with naming_rows(table.source_rows):
        return offline.outputs(scorer, table.columns, table.times, table.offsets)


def arranged(table: EventTable, found: Numbers, per: Literal["event", "session"]) -> Numbers:
    """Return numbers of a table's events in the order of X.

    Parameters
    ----------
    table : EventTable
        Of X.
    found : array (events,) or (events, n)
        In the order of the table.
    per : {"event", "session"}
        Those of all events, or of each sequence's last one, the sequences by their first event.
    """
    wanted = table.source_rows
    if per == "session":
        wanted, found = events.places(table), found[table.offsets[1:] - 1]
    ordered = np.empty_like(found)
    ordered[wanted] = found
    return ordered

"""Reading the events that a bundle is to be run on, and the options that say where they are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tidegate.errors import InputError

if TYPE_CHECKING:
    from tidegate.bundle import Bundle
    from tidegate.tables import EventTable

__all__ = [
    "BundleArgument",
    "EventsArgument",
    "SeqOption",
    "SessionOption",
    "TimeOption",
    "check_out",
    "learned_from",
    "read",
]

BundleArgument = Annotated[Path, typer.Argument(help="A bundle's folder.", show_default=False)]
EventsArgument = Annotated[
    Path, typer.Argument(help="Events: a .csv or .parquet file.", show_default=False)
]
SessionOption = Annotated[
    str | None, typer.Option(help="Column of the session id. Default: as in training.")
]
TimeOption = Annotated[
    str | None, typer.Option(help="Column of the event time. Default: as in training.")
]
SeqOption = Annotated[
    str | None,
    typer.Option(
        help="Column of the event's number in its session, from 1, which then orders the events "
        "and not their time. Default: as in training."
    ),
]


def read(
    bundle: Bundle,
    events: Path,
    session: str | None,
    time: str | None,
    seq: str | None,
    label: str | None = None,
) -> EventTable:
    """Read a table of a bundle's events, with the column names of its training unless given.

    Raises
    ------
    InputError
        ``missing_option``: the bundle does not say which column is the session.
    """
    from tidegate import scoring

    return scoring.read(bundle, events, session, time, seq, label)


def learned_from(bundle: Bundle, events: Path) -> str | None:
    """Return what is to be said where events are those that a bundle was made from."""
    import hashlib

    made_from = bundle.provenance.get("data", {}).get("sha256")
    with events.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != made_from:
            return None
    return (
        "these are the events that the model was made from: it learned from its training part, and "
        "looks better here than on others"
    )


def check_out(out: Path, events: Path) -> None:
    """Refuse to write over the events.

    Raises
    ------
    InputError
        ``out_is_input``.
    """
    if out.exists() and events.exists() and out.samefile(events):
        raise InputError(
            "out_is_input",
            f"{out} holds the events",
            field="--out",
            hint="name another file: this one would be replaced",
        )

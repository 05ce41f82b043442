"""A micro-batch as columns: what the session table takes, whatever transport it came by."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, cast

import msgspec
import numpy as np
from numpy.typing import NDArray

from tidegate.errors import TidegateError
from tidegate.serve.bits import REFUSED
from tidegate.serve.operations import Event, Part, Refused

if TYPE_CHECKING:
    from tidegate import core
    from tidegate.core import Ids
    from tidegate.schema import Schema

__all__ = ["Batch", "Block"]

_NOTHING: dict[str, Any] = {}
_NOBODY = secrets.token_hex(32)
"""Stands for the session of an event that names none that can be: nobody can guess it."""


class Batch(Protocol):
    """Events of any sessions, in order, whatever form they have."""

    failed: Sequence[tuple[int, str]]
    """Sessions that failed in an earlier part of their request."""

    @property
    def size(self) -> int:
        """How many."""

    @property
    def errors(self) -> Mapping[int, TidegateError]:
        """Of the events that were refused on the way in."""

    @property
    def columns(self) -> Mapping[str, Any]:
        """Typed raw fields, as `Schema.type_events` gives them."""

    def session(self, index: int) -> str:
        """Return the session of one event."""

    def names(self) -> Sequence[str]:
        """Return the session of each event."""

    def missing(self, table: core.Table) -> list[int]:
        """Return the first event of each session that a table does not hold."""

    def process(
        self, table: core.Table, received: float, group: core.Group | None, ticket: int
    ) -> core.Processed:
        """Have a table do them."""


class Block(msgspec.Struct):
    """A batch of columns.

    Parameters
    ----------
    sessions : sequence of str, or (offsets, bytes)
        The session of each event; the second form is Arrow's.
    size : int
        How many.
    columns : mapping of str to array
        Typed raw fields, as `Schema.type_events` gives them.
    seqs : int64 array, optional
        Their numbers; 0: none given.
    times : float64 array, optional
        The client's times, unix seconds; NaN: none given.
    flags : uint8 array, optional
        As `bits` has them.
    requests : int64 array, optional
        Which request each came with, if there are several.
    failed : sequence of (int, str)
        Sessions that failed in an earlier part of such a request.
    errors : mapping of int to TidegateError
        Of the events that were refused on the way in.
    """

    sessions: Ids
    size: int
    columns: Mapping[str, Any]
    seqs: NDArray[np.int64] | None = None
    times: NDArray[np.float64] | None = None
    flags: NDArray[np.uint8] | None = None
    requests: NDArray[np.int64] | None = None
    failed: Sequence[tuple[int, str]] = ()
    errors: Mapping[int, TidegateError] = {}

    def session(self, index: int) -> str:
        """Return the session of one event."""
        if isinstance(self.sessions, tuple):
            offsets, data = self.sessions
            return bytes(data[offsets[index] : offsets[index + 1]]).decode()
        return self.sessions[index]

    def names(self) -> Sequence[str]:
        """Return the session of each event."""
        if isinstance(self.sessions, tuple):
            return [self.session(index) for index in range(self.size)]
        return self.sessions

    def missing(self, table: core.Table) -> list[int]:
        """Return the first event of each session that a table does not hold."""
        return table.missing(self.sessions)

    def process(
        self, table: core.Table, received: float, group: core.Group | None, ticket: int
    ) -> core.Processed:
        """Have a table do them."""
        return table.process(
            self.sessions,
            self.seqs,
            self.times,
            received,
            self.flags,
            self.requests,
            dict(self.columns),
            group,
            ticket,
            failed=self.failed,
        )

    @classmethod
    def of(cls, parts: Sequence[Part], schema: Schema) -> Block:
        """Make a block of events that came as objects.

        Parameters
        ----------
        parts : sequence of Part
            With events, refused or not, and nothing else.
        schema : Schema
            Types their fields.
        """
        events = [event for part in parts for event in part.operations]
        given = cast("list[Event | Refused]", events)
        errors: dict[int, TidegateError] = {}
        fields, seqs, flags = [], [], []
        timed = False
        for index, event in enumerate(given):
            if isinstance(event, Refused):
                errors[index] = event.error
                fields.append(_NOTHING)
                seqs.append(0)
                flags.append(REFUSED)
                continue
            fields.append(event.event)
            seqs.append(event.seq or 0)
            flags.append(event.start | event.end << 1)
            timed = timed or event.time is not None
        columns, mistyped = schema.type_events(fields)
        for index, error in mistyped.items():
            if index not in errors:
                errors[index] = error
                flags[index] |= REFUSED
        numbers = _request_numbers(parts)
        return cls(
            sessions=[event.session or _NOBODY for event in given],
            size=len(given),
            columns=columns,
            seqs=np.array(seqs, dtype=np.int64),
            times=_times(given) if timed else None,
            flags=np.array(flags, dtype=np.uint8) if any(flags) else None,
            requests=_requests(parts, numbers) if len(parts) > 1 else None,
            failed=[
                (number, name)
                for number, part in zip(numbers, parts, strict=True)
                if part.failed
                for name in part.failed.intersection(each.session for each in part.operations)
            ],
            errors=errors,
        )


def _times(events: Sequence[Event | Refused]) -> NDArray[np.float64]:
    # NumPy reads None as NaN where float64 is asked for.
    return np.array([getattr(event, "time", None) for event in events], dtype=np.float64)


def _request_numbers(parts: Sequence[Part]) -> list[int]:
    """Return a number a part, the same for those of one request: they share what has failed."""
    numbers: dict[int, int] = {}
    return [numbers.setdefault(id(part.failed), len(numbers)) for part in parts]


def _requests(parts: Sequence[Part], numbers: Sequence[int]) -> NDArray[np.int64]:
    return np.repeat(np.array(numbers), [len(part.operations) for part in parts])

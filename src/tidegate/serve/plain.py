"""Events that came as plain JSON: read, stepped and worded in C, without an object an event.

Plain is what a client's serialiser writes for an event that is right; `wire` reads the rest, and
words what is wrong with it. A client sees no difference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from tidegate import answers, core, instants
from tidegate.errors import TidegateError
from tidegate.serve.operations import MOST_SEQ, Unread

if TYPE_CHECKING:
    from tidegate.bundle import Bundle

__all__ = ["Plain", "PlainEvents"]


class PlainEvents(msgspec.Struct):
    """A batch that was read from plain JSON; see `block.Batch`.

    Parameters
    ----------
    events : core.Events
        The events.
    failed : sequence of (int, str)
        As `Block` has it.
    """

    events: core.Events
    failed: Sequence[tuple[int, str]] = ()

    @property
    def size(self) -> int:
        """How many."""
        return len(self.events)

    @property
    def errors(self) -> Mapping[int, TidegateError]:
        """None was refused on the way in."""
        return {}

    @property
    def columns(self) -> Mapping[str, Any]:
        """Typed raw fields."""
        return self.events.columns

    def session(self, index: int) -> str:
        """Return the session of one event."""
        return self.events.session(index)

    def names(self) -> Sequence[str]:
        """Return the session of each event."""
        return self.events.sessions()

    def missing(self, table: core.Table) -> list[int]:
        """Return the first event of each session that a table does not hold."""
        return table.missing(self.events)

    def process(
        self, table: core.Table, received: float, group: core.Group | None, ticket: int
    ) -> core.Processed:
        """Have a table do them."""
        return table.process_lines(self.events, received, group, ticket, self.failed)


class Plain:
    """Reads plain events for a model, and words their answers.

    Parameters
    ----------
    bundle : Bundle
        The model.
    """

    def __init__(self, bundle: Bundle) -> None:
        self._plan = core.LinePlan(
            bundle.schema.field_specs, instants.EARLIEST, instants.LATEST, MOST_SEQ
        )
        self._words = answers.open(bundle.task).json(bundle.version)

    def read_lines(self, lines: bytes, count: int) -> PlainEvents | None:
        """Read as many whole lines; None: not all are plain, or C cannot word the answers."""
        if self._words is None:
            return None
        events = self._plan.read_lines(lines, count)
        return None if events is None else PlainEvents(events)

    def read_bodies(self, bodies: Sequence[Unread]) -> PlainEvents | None:
        """Read events that came alone; None: not all are plain, or C cannot word the answers."""
        if self._words is None:
            return None
        events = self._plan.read_bodies(
            [each.body for each in bodies], [each.session for each in bodies]
        )
        return None if events is None else PlainEvents(events)

    def lines(self, batch: PlainEvents, processed: core.Processed) -> bytes:
        """Return the lines that answer events which were all answered, by this version."""
        assert self._words is not None  # else nothing was read
        return self._words.lines(batch.events, processed)

    def bodies(self, batch: PlainEvents, processed: core.Processed) -> list[bytes]:
        """Return the answers of such events one by one."""
        assert self._words is not None
        return self._words.bodies(batch.events, processed)

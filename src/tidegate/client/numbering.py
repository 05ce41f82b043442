"""One session, as its client has it: where it stands, and which event has no answer yet."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date

import msgspec

from tidegate import instants
from tidegate.client.answers import Answer, parse
from tidegate.client.exchange import Exchange, Request, Retries, expect, persist
from tidegate.client.journal import Journal, Pending
from tidegate.client.questions import read, session_path
from tidegate.errors import InputError, OverloadError, SequenceError, TidegateError, shown

__all__ = ["Numbering"]


class Numbering:
    """Numbers the events of one session, and knows which one has no answer yet.

    Parameters
    ----------
    model, session : str
        Whose events they are.
    retries : Retries
        How long an answer is tried for.
    journal : Journal, optional
        Remembers the event under way on disk.
    """

    def __init__(
        self, model: str, session: str, retries: Retries, journal: Journal | None = None
    ) -> None:
        self.model, self.session = model, session
        self.seq = journal.seq if journal else None
        """Number of the last event that was answered; None before that is known."""
        self.pending = journal.pending if journal else None
        self._retries = retries
        self._journal = journal

    def resume(self) -> Exchange[int]:
        """Ask the server where the session stands, and give up the event without an answer."""
        try:
            view = yield from read(self.model, self.session, self._retries)
        except SequenceError as error:
            if error.code != "session_unknown":
                raise
            self._settle(0)
            return 0
        self._settle(view.seq)
        return view.seq

    def send(
        self,
        event: Mapping[str, object],
        time: float | str | date | None,
        *,
        start: bool,
        end: bool,
    ) -> Exchange[Answer]:
        """Give an event the next number, and send it until it is answered."""
        if self.pending is not None:
            raise InputError(
                "event_pending",
                f"event {self.pending.seq} of session {self.session!r} has no answer yet",
                field="seq",
                hint="retry() sends it again; resume() gives it up and asks where the session is",
            )
        members: dict[str, object] = {"event": _checked(event)}
        if time is not None:
            members["time"] = instants.seconds(time)
        members |= {name: True for name, told in (("start", start), ("end", end)) if told}
        if not start and self.seq is None:
            yield from self.resume()
        seq = 1 if start or self.seq is None else self.seq + 1
        pending = Pending(seq, _encode({"seq": seq, **members}))
        if self._journal is not None:
            self._journal.begin(pending)
        self.pending = pending
        return (yield from self._deliver(pending, fresh=True))

    def retry(self) -> Exchange[Answer]:
        """Send the event without an answer again, as it was."""
        if self.pending is None:
            raise InputError(
                "nothing_pending",
                f"every event of session {self.session!r} has its answer",
                hint="send the next one",
            )
        return (yield from self._deliver(self.pending, fresh=False))

    def _deliver(self, pending: Pending, *, fresh: bool) -> Exchange[Answer]:
        """Send an event; unless it is `fresh`, it may have been applied before."""
        path = session_path(self.model, self.session) + "/events"
        what = f"event {pending.seq} of session {self.session!r}"
        try:
            reply = yield from persist(Request("POST", path, pending.body), self._retries, what)
        except OverloadError:
            if fresh:  # nothing was applied
                self._settle(self.seq)
            raise
        try:
            answer: Answer = parse(expect(reply), Answer)
        except TidegateError as error:
            # What refuses the event itself would have refused every earlier attempt too. Of others,
            # such as a key that is not known any more, nobody knows what came before them.
            if isinstance(error, SequenceError) or (fresh and reply.status == _BAD_REQUEST):
                self._settle(self.seq)
            raise
        self._settle(answer.seq)
        return answer

    def _settle(self, seq: int | None) -> None:
        self.seq, self.pending = seq, None
        if self._journal is not None:
            self._journal.settle(seq)


_BAD_REQUEST = 400


_encode = msgspec.json.Encoder().encode


def _checked(event: Mapping[str, object]) -> dict[str, object]:
    """Return an event of plain values, or refuse what would become another value in JSON."""
    return {name: _plain(name, value) for name, value in event.items()}


def _plain(name: str, value: object) -> object:
    try:
        plain = value.item() if hasattr(value, "item") else value  # a NumPy scalar
        if not isinstance(plain, str | int | float | None):
            raise TypeError
        if isinstance(plain, float) and not math.isfinite(plain):
            raise InputError(
                "not_finite",
                f"{plain} is not a finite number",
                field=str(name),
                hint="send None where the value is missing",
            )
        _encode(plain)
    except InputError:
        raise
    except (TypeError, ValueError):  # an array; half of a surrogate pair
        raise InputError(
            "wrong_type",
            f"{shown(value)} is no value of a field",
            field=str(name),
            hint="send a number, text, true, false or None",
        ) from None
    return plain

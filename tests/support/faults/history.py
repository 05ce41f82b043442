"""The history of what clients sent and were told, and the checker that judges it.

A client writes down each attempt: what it sent, between which two instants, and what came of it.
One client at a time numbers a session's events; others may send repeats and wrong events of it.

The checker asks whether there is any order of events that explains the history and keeps what the
gate promises. It replays each session offline, with an engine of its own, and reports every break:

========== ==================================================================================
lost       an event was answered, and later the session stood before it
doubled    an event changed the session more than once, or without having been sent
mismatch   an answer differs from the replay's, or from what the same event was answered before
stale      the session was seen at a number below one that it had been seen at
reordered  an event was taken though one before it was never sent
altered    an event was answered, or its retry refused, as if it had been another one
unanswered the retry of one of the last events was refused, though it is one of those kept
========== ==================================================================================
"""

from __future__ import annotations

import itertools
import threading
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec
import numpy as np

from tidegate import answers
from tidegate.bundle import Bundle
from tidegate.engine import Engine

__all__ = ["Attempt", "Break", "History", "Report", "Sent", "check"]

Kind = Literal["lost", "doubled", "mismatch", "stale", "reordered", "altered", "unanswered"]


class Sent(msgspec.Struct, frozen=True):
    """An event as a client sends it; `time` None: the server's is taken."""

    seq: int
    event: Mapping[str, Any]
    time: float | None = None
    start: bool = False
    end: bool = False

    @property
    def payload(self) -> tuple[Any, ...]:
        """What has to be the same in a repeat."""
        return self.event, self.time


LIFE = "#"
"""In a name: what follows tells the lives of one session apart."""


@dataclass(slots=True)
class Attempt:
    """Something that was sent, and what came of it.

    Parameters
    ----------
    session : str
        Whose.
    sent : Sent or None
        The event; None if the session was only looked at.
    began, ended : int
        Instants, as the order of all beginnings and ends; `ended` 0: no answer came.
    answer : bytes or None
        The answer's bytes, if it was answered.
    told : Mapping
        All else that was told: `session`, `seq`, `time`, `duplicate`; `code` and `expected` of an
        error; `seq` of a look.
    deletes : bool
        The session was asked to be deleted.
    """

    session: str
    sent: Sent | None
    began: int
    ended: int = 0
    answer: bytes | None = None
    told: Mapping[str, Any] = field(default_factory=dict)
    deletes: bool = False


class History:
    """What clients sent and were told; several threads may write it."""

    def __init__(self) -> None:
        self.attempts: list[Attempt] = []
        self.acknowledged = 0
        self._instants = itertools.count(1)
        self._lock = threading.Lock()

    def began(self, session: str, sent: Sent | None, *, deletes: bool = False) -> Attempt:
        """Write down that something is about to be sent."""
        with self._lock:
            attempt = Attempt(session, sent, next(self._instants), deletes=deletes)
            self.attempts.append(attempt)
            return attempt

    def answered(self, attempt: Attempt, answer: bytes, told: Mapping[str, Any]) -> None:
        """Write down an answer."""
        with self._lock:
            attempt.answer, attempt.told = answer, told
            attempt.ended = next(self._instants)
            self.acknowledged += 1

    def told(self, attempt: Attempt, told: Mapping[str, Any]) -> None:
        """Write down an error, or what a look showed."""
        with self._lock:
            attempt.told = told
            attempt.ended = next(self._instants)

    def answers_as_new(self) -> int:
        """Return how many events were answered that had not been answered before."""
        with self._lock:
            return sum(a.answer is not None and not a.told.get("duplicate") for a in self.attempts)

    def lives(self) -> dict[str, list[str]]:
        """Return the lives of each session, in order."""
        found: dict[str, list[str]] = {}
        for label in dict.fromkeys(attempt.session for attempt in self.attempts):
            found.setdefault(label.partition(LIFE)[0], []).append(label)
        return found

    def looked(self, session: str, seq: int) -> None:
        """Write down at which number a session was seen, when nothing was in flight."""
        self.told(self.began(session, None), {"seq": seq})


class Break(msgspec.Struct, frozen=True):
    """A promise that was not kept."""

    kind: Kind
    session: str
    seq: int
    text: str


@dataclass
class Report:
    """What the checker found."""

    events: int = 0
    """Events that were acknowledged."""
    breaks: list[Break] = field(default_factory=list)

    def counts(self) -> Counter[str]:
        """Return how many breaks there are of each kind."""
        return Counter(found.kind for found in self.breaks)

    def __str__(self) -> str:
        kinds = ", ".join(f"{n} {kind}" for kind, n in sorted(self.counts().items()))
        lines = [f"  {b.kind} {b.session}/{b.seq}: {b.text}" for b in self.breaks[:10]]
        return "\n".join([f"{self.events} events acknowledged; {kinds or 'all kept'}", *lines])


def check(
    history: History | Iterable[Attempt],
    bundle: Bundle,
    final: Mapping[str, int | None],
    *,
    kept: int = 8,
) -> Report:
    """Judge a history.

    Parameters
    ----------
    history : History or iterable of Attempt
        In the order in which attempts began.
    bundle : Bundle
        What was served.
    final : mapping of str to int or None
        The number at which each session stood in the end; 0 if it was unknown, None if it was known
        to be over, as a life is before which another one has begun.
    kept : int
        How many answers of a session the server keeps.

    Returns
    -------
    Report
        Without breaks, if all was kept.
    """
    attempts = history.attempts if isinstance(history, History) else history
    sessions: dict[str, list[Attempt]] = defaultdict(list)
    for attempt in attempts:
        sessions[attempt.session].append(attempt)
    report = Report()
    taken: dict[str, list[tuple[Sent, Attempt | None]]] = {}
    for session in sorted(sessions):
        judge = _Session(session, sessions[session], final.get(session, 0), kept, report)
        taken[session] = judge.run()
    _replay(bundle, taken, report)
    return report


class _Session:
    """The breaks of one session that can be told without its numbers."""

    def __init__(
        self,
        label: str,
        attempts: Sequence[Attempt],
        final: int | None,
        kept: int,
        report: Report,
    ) -> None:
        self.label = label
        self.name = label.partition(LIFE)[0]
        self.attempts = attempts
        self.final = final
        self.kept = kept
        self.report = report

    def run(self) -> list[tuple[Sent, Attempt | None]]:
        """Judge it; return the events that were taken, in order, each with its first answer."""
        events = self._answers()
        self._observations()
        self._endings()
        applied = max([self.final or 0, *events], default=0)
        offered: dict[int, list[Sent]] = {}  # what may have been taken: all but what was refused
        for attempt in self.attempts:
            if attempt.sent is not None and "code" not in attempt.told:
                events_of = offered.setdefault(attempt.sent.seq, [])
                if attempt.sent.payload not in [sent.payload for sent in events_of]:
                    events_of.append(attempt.sent)
        taken: list[tuple[Sent, Attempt | None]] = []
        for seq in range(1, applied + 1):
            first = events.get(seq)
            if first is not None and first.sent is not None:
                taken.append((first.sent, first))
            elif seq not in offered:
                what = "doubled" if seq > max(offered, default=0) else "reordered"
                self._break(what, seq, "the session went past it, and it was never sent")
                break
            elif len(offered[seq]) > 1:
                raise ValueError(f"{self.name}/{seq}: which of two events was taken is not known")
            else:
                taken.append((offered[seq][0], None))
        return taken

    def _answers(self) -> dict[int, Attempt]:
        """Return the first answer of each event."""
        first: dict[int, Attempt] = {}
        applied: set[int] = set()
        began: dict[int, list[int]] = defaultdict(list)  # when each number was sent
        for attempt in self.attempts:
            if attempt.sent is not None:
                began[attempt.sent.seq].append(attempt.began)
        for attempt in self.attempts:
            sent = attempt.sent
            if sent is None:
                continue
            if attempt.answer is not None:
                self.report.events += 1
                self._answer(attempt, sent, first, applied, began[sent.seq])
            elif attempt.told.get("code") == "payload_conflict":
                known = first.get(sent.seq)
                if known is not None and known.sent and known.sent.payload == sent.payload:
                    self._break("altered", sent.seq, "its retry was refused as another event's")
        return first

    def _answer(
        self,
        attempt: Attempt,
        sent: Sent,
        first: dict[int, Attempt],
        applied: set[int],
        began: Sequence[int],
    ) -> None:
        told, seq = attempt.told, sent.seq
        if (told["session"], told["seq"]) != (self.name, seq):
            self._break("mismatch", seq, f"the answer is of {told['session']}/{told['seq']}")
        if sent.time is not None and told["time"] != sent.time:
            self._break("mismatch", seq, f"the answer's time is {told['time']}")
        if not told.get("duplicate"):
            if seq in applied:
                self._break("doubled", seq, "two attempts were answered as new")
            applied.add(seq)
        elif sum(instant < attempt.ended for instant in began) < 2:
            self._break("doubled", seq, "its only attempt was answered as a repeat")
        known = first.setdefault(seq, attempt)
        assert known.sent is not None
        if known.sent.payload != sent.payload:
            self._break("altered", seq, "another event was answered in its place")
        elif known.told["time"] != told["time"] or not _agree(known.answer, attempt.answer):
            self._break("mismatch", seq, "two attempts were answered differently")

    def _observations(self) -> None:
        """Judge where the session was seen to stand against what had been told before."""
        # By the ends of attempts: what ended before another began was known by then.
        ended = sorted((a for a in self.attempts if a.ended), key=lambda a: a.ended)
        at, answered, seen = 0, 0, 0
        attempts = self.attempts
        if self.final is not None:
            attempts = [
                *attempts,
                Attempt(self.name, None, 2**62, 2**62, None, {"seq": self.final}),
            ]
        for attempt in attempts:
            while at < len(ended) and ended[at].ended < attempt.began:
                if ended[at].answer is not None:
                    answered = max(answered, ended[at].told["seq"])
                seen = max(seen, _stood(ended[at]) or 0)
                at += 1
            stood = _stood(attempt)
            if stood is None:
                continue
            if stood < answered:
                self._break("lost", answered, f"it was answered; then the session stood at {stood}")
            elif stood < seen:
                self._break("stale", seen, f"it had been seen; then the session stood at {stood}")
            sent, code = attempt.sent, attempt.told.get("code")
            if sent is not None and code == "seq_stale" and sent.seq > stood - self.kept:
                self._break("unanswered", sent.seq, f"refused as stale at {stood}")

    def _endings(self) -> None:
        """Judge whether what ended the session was the last that happened to it."""
        over = [a for a in self.attempts if a.deletes or (a.sent and a.sent.end)]
        told = [str(attempt.told.get("code")) for attempt in self.attempts]
        if not over and any(code.startswith("session_") for code in told):
            self._break("lost", 0, "it was told to be over, and nobody had asked for that")
        for attempt in over:
            if attempt.sent is not None and attempt.told.get("code") == "session_ended":
                self._break(
                    "unanswered", attempt.sent.seq, "it ended the session; its answer is gone"
                )
        over = [a for a in over if a.ended and (a.deletes or a.answer is not None)]
        if not over:
            return
        first = min(attempt.ended for attempt in over)
        for attempt in self.attempts:
            goes_on = attempt.answer is not None and not attempt.told.get("duplicate")
            if attempt.began > first and goes_on:
                self._break("lost", attempt.told["seq"], "it was over; then an event was answered")
        if self.final is not None:
            self._break("lost", self.final, "it was over; then it was there")

    def _break(self, kind: str, seq: int, text: str) -> None:
        self.report.breaks.append(Break(kind, self.label, seq, text))  # type: ignore[arg-type]


def _agree(one: bytes | None, other: bytes | None) -> bool:
    """Say whether two answers are the same; Arrow's has less to say than JSON's."""
    if one is None or other is None or one == other:
        return one == other
    return _brief(one) == _brief(other) and one[:1] != other[:1]


def _brief(answer: bytes) -> Any:
    words = msgspec.json.decode(answer)
    if isinstance(words, dict):
        return [words["label"], list(words["probabilities"].values())[1]]
    return words


def _stood(attempt: Attempt) -> int | None:
    """Return where an attempt's outcome says that the session stood."""
    if attempt.answer is not None or not attempt.told:
        return None
    if "expected" in attempt.told:
        return int(attempt.told["expected"]) - 1
    return int(attempt.told["seq"]) if attempt.sent is None else None


def _replay(
    bundle: Bundle, taken: Mapping[str, Sequence[tuple[Sent, Attempt | None]]], report: Report
) -> None:
    """Step every session's events in order, and compare with what was answered."""
    engine = Engine.open(bundle, replay=False)
    words = answers.open(bundle.task)
    schema = bundle.schema
    now = list(taken)
    for step in itertools.count():
        now = [name for name in now if len(taken[name]) > step]
        if not now:
            return
        sent = [taken[name][step][0] for name in now]
        first = [taken[name][step][1] for name in now]
        times = [
            event.time if event.time is not None else attempt.told["time"] if attempt else 0.0
            for event, attempt in zip(sent, first, strict=True)
        ]
        columns, wrong = schema.type_events([event.event for event in sent])
        assert not wrong
        outputs = engine.step_events(now, columns, np.array(times, np.float64)).outputs
        for name, event, attempt, word in zip(now, sent, first, words.answer(outputs), strict=True):
            if attempt is not None and not _agree(attempt.answer, msgspec.json.encode(word)):
                report.breaks.append(
                    Break("mismatch", name, event.seq, "the replay answers differently")
                )

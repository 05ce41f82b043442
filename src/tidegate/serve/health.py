"""Liveness: noticing that something which should go on does not."""

from __future__ import annotations

import asyncio
import faulthandler
import logging
import sys
import time
from collections.abc import Callable
from typing import TextIO

__all__ = ["Pulse", "Watch", "keep_watch"]

_log = logging.getLogger(__name__)


class Pulse:
    """Something that has to go on within some seconds, once it has begun.

    Parameters
    ----------
    name : str
        What it is, as ``/healthz`` tells it.
    within : float
        Seconds.
    clock : callable
        Seconds that never go back.
    """

    __slots__ = ("_clock", "_since", "name", "within")

    def __init__(self, name: str, within: float, clock: Callable[[], float]) -> None:
        self.name = name
        self.within = within
        self._clock = clock
        self._since: float | None = None

    def beat(self) -> None:
        """Say that it goes on, and that there is more to do."""
        self._since = self._clock()

    def begin(self) -> None:
        """Say that there is something to do. While there is already, this is no sign of life."""
        if self._since is None:
            self._since = self._clock()

    def rest(self) -> None:
        """Say that there is nothing to do."""
        self._since = None

    @property
    def stuck(self) -> bool:
        """Whether it has been silent for too long with something to do."""
        since = self._since
        return since is not None and self._clock() - since > self.within


class Watch:
    """All that has to go on: the event loop, the engine, the committer.

    Parameters
    ----------
    clock : callable
        Seconds that never go back.

    Examples
    --------
    >>> now = [0.0]
    >>> watch = Watch(lambda: now[0])
    >>> committer = watch.expect("committer", 5.0)
    >>> committer.begin()
    >>> now[0] = 5.1
    >>> watch.stuck()
    ['committer']
    >>> committer.rest()
    >>> watch.stuck()
    []
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._pulses: list[Pulse] = []

    def expect(self, name: str, within: float) -> Pulse:
        """Add something that has to go on.

        Parameters
        ----------
        name : str
            What it is.
        within : float
            Seconds that it may be silent while it has something to do.
        """
        pulse = Pulse(name, within, self._clock)
        self._pulses.append(pulse)
        return pulse

    def stuck(self) -> list[str]:
        """Return the names of what is stuck."""
        return [pulse.name for pulse in self._pulses if pulse.stuck]


async def keep_watch(
    watch: Watch, *, every: float = 1.0, within: float = 10.0, stream: TextIO | None = None
) -> None:
    """Beat for the event loop until cancelled, and say so when something is stuck.

    Parameters
    ----------
    watch : Watch
        What has to go on.
    every : float
        Seconds between two looks.
    within : float
        Seconds after which a silent loop has its threads' stacks written.
    stream : text stream with a descriptor, optional
        Where stacks go; the process's stderr by default.

    Notes
    -----
    A loop that is stuck can neither log nor answer ``/healthz``: a probe sees that as its own
    time-out. What still runs then is the timer of `faulthandler`, a thread of C that needs neither
    the loop nor the interpreter's lock, which may be what the loop is stuck with. It is wound up
    again at each beat. It is one for the whole process, and so is this function.
    """
    stream = stream or sys.__stderr__ or sys.stderr
    loop = watch.expect("loop", within)
    told: set[str] = set()
    try:
        while True:
            loop.beat()
            faulthandler.dump_traceback_later(within, file=stream)
            stuck = set(watch.stuck())
            if stuck - told:
                _log.error("stuck: %s", ", ".join(sorted(stuck)))
                faulthandler.dump_traceback(file=stream)
            if told - stuck:
                _log.warning("goes on again: %s", ", ".join(sorted(told - stuck)))
            told = stuck
            await asyncio.sleep(every)
    finally:
        faulthandler.cancel_dump_traceback_later()
        loop.rest()

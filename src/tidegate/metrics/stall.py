"""How long the interpreter's lock is held by somebody else."""

from __future__ import annotations

import threading
from time import perf_counter, sleep

from tidegate.metrics.instruments import Distribution

__all__ = ["StallMeter"]

_TICK_SECONDS = 0.0005


class StallMeter:
    """A thread that wants to run every 0.5 ms and notes how much later it could.

    It needs the interpreter's lock to go on, so what it notes is how long others held that lock:
    Python code (at most `sys.getswitchinterval`, 5 ms, at a time) or a native call that does not
    release it (without bound). The system's own lateness is in it, about 0.1 ms on an idle machine
    and more where processes compete for a core.

    Parameters
    ----------
    seen : Distribution
        Where delays go, in seconds; nobody else may write to it meanwhile.
    """

    def __init__(self, seen: Distribution) -> None:
        self._seen = seen
        self._stopped = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to measure."""
        self._stopped = False
        self._thread = threading.Thread(target=self._tick, name="tidegate-stall", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop, if it has been started; what was seen stays."""
        self._stopped = True
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _tick(self) -> None:
        observe = self._seen.observe
        while not self._stopped:
            began = perf_counter()
            sleep(_TICK_SECONDS)
            observe(max(perf_counter() - began - _TICK_SECONDS, 0.0))

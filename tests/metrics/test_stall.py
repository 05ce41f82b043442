from __future__ import annotations

import ctypes
import threading

from tidegate.metrics import Distribution, StallMeter

libc = ctypes.PyDLL(None)  # its calls hold the interpreter's lock


class Seen(Distribution):
    """Says when something was noted."""

    def __init__(self) -> None:
        super().__init__()
        self.longest = 0.0
        self.noted = threading.Event()

    def observe(self, value: float) -> None:
        super().observe(value)
        self.longest = max(self.longest, value)
        self.noted.set()


def test_a_call_that_keeps_the_lock_is_seen() -> None:
    seen = Seen()
    meter = StallMeter(seen)
    meter.start()
    assert seen.noted.wait(20)
    libc.usleep(200_000)
    meter.stop()
    assert seen.longest >= 0.19
    assert sum(seen.counts) >= 2


def test_it_stops_and_can_be_started_again() -> None:
    seen = Seen()
    meter = StallMeter(seen)
    meter.stop()  # never started
    for _ in range(2):
        meter.start()
        assert seen.noted.wait(20)
        meter.stop()
        seen.noted.clear()
    assert not any(thread.name == "tidegate-stall" for thread in threading.enumerate())

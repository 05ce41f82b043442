"""Make torch repeat itself, and leave its global state as it was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

__all__ = ["repeatable"]


@contextmanager
def repeatable(seed: int, threads: int | None = None) -> Iterator[None]:
    """Seed torch and allow deterministic algorithms alone, within a ``with`` block.

    On a CPU, the same computations then give the same bits, if the number of threads is the same:
    sums are split between threads.

    Parameters
    ----------
    seed : int
        Of torch's global generator.
    threads : int, optional
        Of torch; None leaves their number.

    Examples
    --------
    >>> with repeatable(seed=7):
    ...     first = torch.rand(1)
    >>> with repeatable(seed=7):
    ...     print(torch.equal(first, torch.rand(1)))
    True
    """
    was_deterministic = torch.are_deterministic_algorithms_enabled()
    warned_only = torch.is_deterministic_algorithms_warn_only_enabled()
    filled = torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    had_threads = torch.get_num_threads()
    with torch.random.fork_rng(devices=[]):
        # Not in `try`: it imports much, and what Ctrl-C leaves half imported cannot be used again.
        torch.use_deterministic_algorithms(True)
        try:
            # Filling costs time, and helps only code that reads memory it never wrote.
            torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
            if threads is not None:
                torch.set_num_threads(threads)
            torch.manual_seed(seed)
            yield
        finally:
            torch.use_deterministic_algorithms(was_deterministic, warn_only=warned_only)
            torch.utils.deterministic.fill_uninitialized_memory = filled  # type: ignore[attr-defined]
            torch.set_num_threads(had_threads)

"""A block of one request, and what is made of its results: done beside the event loop."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Generic, TypeVar

from tidegate.errors import TidegateError
from tidegate.serve.block import Batch
from tidegate.serve.processor import Processor

if TYPE_CHECKING:
    from tidegate.core import Processed

__all__ = ["Work"]

B = TypeVar("B", bound=Batch)
T_co = TypeVar("T_co", covariant=True)


class Work(Generic[T_co]):
    """What `Batcher.submit_block` does in another thread.

    Parameters
    ----------
    processor : Processor
        Steps it.
    block : Batch
        The events.
    failed : set of str
        Sessions of which an earlier event of the same request failed; shared by its blocks.
    finish : callable
        Makes of the block, its results and its errors what is to be answered.
    """

    def __init__(
        self,
        processor: Processor,
        block: B,
        failed: set[str],
        finish: Callable[[B, Processed, dict[int, TidegateError]], T_co],
    ) -> None:
        self._processor = processor
        self._block: Batch = block
        self._failed = failed
        self._finish = partial(finish, block)

    @property
    def size(self) -> int:
        """How many events it has."""
        return self._block.size

    def step(self) -> tuple[T_co, int]:
        """Do it; return what is to be answered, and the ticket that this waits for.

        Raises
        ------
        StoreError
            ``store_failed``: nothing was applied.
        """
        block, failed = self._block, self._failed
        if failed:
            names = failed.intersection(block.names())
            block.failed = [(0, name) for name in names]
        processed, errors, ticket = self._processor.process_block(block)
        failed.update(block.session(row) for row in errors)
        return self._finish(processed, errors), ticket

    def lost(self) -> None:
        """Say that none of it counts: what comes after it in its request must not be applied."""
        self._failed.update(self._block.names())

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence

import pytest

from tidegate.errors import OverloadError
from tidegate.serve.batcher import Batcher
from tidegate.serve.operations import Operation, Read, Result, SessionView


def view(operation: Operation) -> SessionView:
    return SessionView(operation.session, "live", 1, 0.0, 0.0, 0.0, "1")


class Gated:
    """A processor that waits to be let through, and remembers its batches."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.threads: set[str] = set()
        self.entered = threading.Semaphore(0)
        self.gate = threading.Semaphore(0)

    def __call__(self, operations: Sequence[Operation]) -> list[Result]:
        self.batches.append([operation.session for operation in operations])
        self.threads.add(threading.current_thread().name)
        self.entered.release()
        assert self.gate.acquire(timeout=10)
        return [view(operation) for operation in operations]


@pytest.fixture
def gated() -> Gated:
    return Gated()


@pytest.fixture
def batcher(gated: Gated) -> Iterator[Batcher]:
    made = Batcher(gated, max_batch=4, max_queue=8)
    yield made
    for _ in range(20):
        gated.gate.release()
    made.close()


def reads(*names: str) -> list[Operation]:
    return [Read(name) for name in names]


def sessions(results: Sequence[Result]) -> list[str]:
    return [result.session for result in results if isinstance(result, SessionView)]


async def entered(gated: Gated) -> None:
    await asyncio.get_running_loop().run_in_executor(None, gated.entered.acquire)


def test_a_lone_operation_does_not_wait_and_the_others_share_the_next_batch(
    gated: Gated, batcher: Batcher
) -> None:
    async def run() -> list[list[str]]:
        futures = [batcher.submit(reads("a"))]
        await entered(gated)  # nothing else had to arrive
        futures += [batcher.submit(reads(name)) for name in ("b", "c")]
        futures.append(batcher.submit(reads("d", "e")))
        futures.append(batcher.submit(reads("f")))
        assert batcher.queued == 6
        for _ in range(3):
            gated.gate.release()
        results = [sessions(await future) for future in futures]
        assert batcher.queued == 0
        return results

    assert asyncio.run(run()) == [["a"], ["b"], ["c"], ["d", "e"], ["f"]]
    assert gated.batches == [["a"], ["b", "c", "d", "e"], ["f"]]
    assert len(gated.threads) == 1


def test_a_request_stays_in_one_batch(gated: Gated, batcher: Batcher) -> None:
    async def run() -> None:
        first = batcher.submit(reads("a"))
        await entered(gated)
        rest = [batcher.submit(reads("b", "c", "d")), batcher.submit(reads("e", "f"))]
        for _ in range(3):
            gated.gate.release()
        await asyncio.gather(first, *rest)

    asyncio.run(run())
    assert gated.batches == [["a"], ["b", "c", "d"], ["e", "f"]]


def test_a_full_queue_refuses_and_keeps_what_it_accepted(gated: Gated, batcher: Batcher) -> None:
    async def run() -> None:
        futures = [batcher.submit(reads("a"))]
        futures += [batcher.submit(reads("b", "c", "d")), batcher.submit(reads("e", "f", "g", "h"))]
        with pytest.raises(OverloadError, match="8 events are waiting") as refused:
            batcher.submit(reads("i"))
        assert refused.value.code == "overloaded"
        futures.append(batcher.submit(reads("j"), admitted=True))
        for _ in range(4):
            gated.gate.release()
        done = await asyncio.gather(*futures)
        assert [sessions(results) for results in done][-1] == ["j"]
        batcher.submit(reads("k")).cancel()
        gated.gate.release()

    asyncio.run(run())
    assert all("i" not in batch for batch in gated.batches)


def test_a_request_larger_than_the_queue_is_taken_when_it_is_empty(gated: Gated) -> None:
    batcher = Batcher(gated, max_batch=4, max_queue=2)

    async def run() -> list[Result]:
        gated.gate.release()
        return await batcher.submit(reads("a", "b", "c"))

    assert sessions(asyncio.run(run())) == ["a", "b", "c"]
    batcher.close()


def test_what_goes_wrong_reaches_every_request_and_the_next_batch_runs() -> None:
    def process(operations: Sequence[Operation]) -> list[Result]:
        if operations[0].session == "bad":
            raise ZeroDivisionError
        return [view(operation) for operation in operations]

    batcher = Batcher(process, max_batch=4, max_queue=8)

    async def run() -> None:
        with pytest.raises(ZeroDivisionError):
            await batcher.submit(reads("bad"))
        assert sessions(await batcher.submit(reads("good"))) == ["good"]
        assert await batcher.call(lambda: True)

    asyncio.run(run())
    batcher.close()

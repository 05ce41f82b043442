"""When results leave: over a store whose disk is as slow as the test says, and over a real one."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from typing import Any

import pytest

from tidegate.errors import OverloadError, StoreError, TidegateError
from tidegate.serve.batcher import Batcher
from tidegate.serve.block import Block
from tidegate.serve.operations import Answer, Delete, Operation, Part, Read, Result
from tidegate.serve.reorder import Window
from tidegate.serve.work import Work


@contextlib.asynccontextmanager
async def batching(rig: Any, **options: Any) -> AsyncIterator[Batcher]:
    usual = {"max_batch": 4, "max_queue": 8}
    batcher = Batcher(rig.processor, rig.store, rig.metrics, **{**usual, **options})
    yield batcher
    batcher.close()


def events(rig: Any, *names: str, **members: Any) -> Part:
    return Part([rig.event(name, **members) for name in names])


def told(results: Sequence[Result]) -> list[Any]:
    return [
        result.code if isinstance(result, TidegateError) else (result.session, result.seq)
        for result in results
    ]


async def rounds(n: int = 8) -> None:
    """Let the loop go round, so that whatever could happen has."""
    for _ in range(n):
        await asyncio.sleep(0)


async def until(condition: Callable[[], Any]) -> None:
    while not condition():
        await asyncio.sleep(0)


def batches(rig: Any) -> list[float]:
    """Sizes of the batches so far, as their histogram tells: their number and their sum."""
    value = rig.metrics.registry.get_sample_value
    return [value("tidegate_batch_events_count") or 0, value("tidegate_batch_events_sum") or 0]


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(test, 5))


# Durability


def test_results_leave_when_their_changes_are_durable_and_in_order(held):
    async def test() -> None:
        async with batching(held) as batcher:
            first = batcher.submit(events(held, "a"))
            await until(lambda: len(held.store.pending) == 1)
            second = batcher.submit(events(held, "b"))
            await until(lambda: len(held.store.pending) == 2)
            await rounds()
            assert not first.done()
            held.store.let()
            assert told(await first) == [("a", 1)]
            await rounds()
            assert not second.done()
            assert batcher.queued == 1
            held.store.let()
            assert told(await second) == [("b", 1)]
            assert batcher.queued == 0

    run(test())


def test_a_repeat_does_not_leave_before_its_original(held):
    async def test() -> None:
        async with batching(held) as batcher:
            event = held.event("a", seq=1, time=1.0)
            first = batcher.submit(Part([event]))
            await until(lambda: held.store.pending)
            repeat = batcher.submit(Part([event]))
            looked = batcher.submit(Part([Read("a")]))
            await rounds()
            assert (first.done(), repeat.done(), looked.done()) == (False, False, False)
            held.store.let()
            [answer], [again], [view] = await first, await repeat, await looked
            assert again.duplicate
            assert again.answer == answer.answer
            assert view.seq == 1
            assert held.store.appended == 1

    run(test())


def test_what_changes_nothing_waits_for_nothing(rig):
    async def test() -> None:
        async with batching(rig) as batcher:
            assert told(await batcher.submit(Part([Read("nobody")]))) == ["session_unknown"]
            assert told(await batcher.submit(events(rig, "a", seq=7))) == ["seq_gap"]

    rig.store.commit([(b"other", b"commits")])  # as the server does at its start
    rig.start(rig.bundle)
    run(test())


def test_over_a_real_store_all_is_durable_that_is_answered(rig):
    async def test() -> None:
        async with batching(rig) as batcher:
            for seq in range(1, 6):
                parts = [events(rig, name, seq=seq) for name in ("a", "b", "c")]
                for part in await asyncio.gather(*map(batcher.submit, parts)):
                    [answer] = part
                    assert rig.record(answer.session).seq == seq

    run(test())


# Batches


def test_a_lone_event_does_not_wait_and_the_others_share_the_next_batch(held):
    async def test() -> None:
        async with batching(held) as batcher:
            futures = [batcher.submit(events(held, "a"))]
            await until(lambda: len(held.store.pending) == 1)  # nothing else had to arrive
            futures.append(batcher.submit(events(held, "b")))
            await until(lambda: len(held.store.pending) == 2)
            # Two groups are on their way: what arrives now makes one batch.
            futures += [batcher.submit(events(held, name)) for name in ("c", "d")]
            futures.append(batcher.submit(events(held, "e", "f")))
            futures.append(batcher.submit(events(held, "g")))
            await rounds()
            assert batches(held) == [2, 2]
            assert batcher.queued == 7
            held.store.let()
            await until(lambda: len(held.store.pending) == 2)
            assert batches(held) == [3, 6]  # a request stays in one batch
            held.store.let_all()
            results = await asyncio.gather(*futures)
            assert [told(found) for found in results] == [
                [("a", 1)],
                [("b", 1)],
                [("c", 1)],
                [("d", 1)],
                [("e", 1), ("f", 1)],
                [("g", 1)],
            ]
            assert batches(held) == [4, 7]

    run(test())


def test_a_request_stays_in_one_batch(held):
    async def test() -> None:
        async with batching(held) as batcher:
            futures = [batcher.submit(events(held, *names)) for names in ("a", "bcd", "ef", "g")]
            held.store.let_all()
            await asyncio.gather(*futures)
            assert batches(held) == [2, 7]

    run(test())


def test_parts_of_one_request_fail_together_also_in_one_batch(held):
    async def test() -> None:
        async with batching(held) as batcher:
            held.store.let_all()
            failed: set[str] = set()
            parts = [events(held, "a", speed="fast"), events(held, "a"), events(held, "b")]
            for part in parts:
                part.failed = failed
            futures = [batcher.submit(part) for part in [*parts, events(held, "a")]]
            found = [told(await future) for future in futures]
            assert found == [["wrong_type"], ["previous_failed"], [("b", 1)], [("a", 1)]]
            assert batches(held) == [1, 4]

    run(test())


def test_who_may_not_wait_longer_is_stepped_while_the_store_is_busy(held):
    async def test() -> None:
        async with batching(held, wait_seconds=0.001) as batcher:
            futures = [batcher.submit(events(held, "a"))]
            await until(lambda: len(held.store.pending) == 1)
            futures.append(batcher.submit(events(held, "b")))
            await until(lambda: len(held.store.pending) == 2)
            futures.append(batcher.submit(events(held, "c")))
            await until(lambda: len(held.store.pending) == 3)  # though none is done
            assert not any(future.done() for future in futures)
            held.store.let_all()
            await asyncio.gather(*futures)

    run(test())


# The queue


def test_a_full_queue_refuses_and_keeps_what_it_accepted(held):
    async def test() -> None:
        async with batching(held) as batcher:
            futures = [batcher.submit(events(held, *names)) for names in ("a", "bcd", "efgh")]
            with pytest.raises(OverloadError, match="8 events are waiting") as refused:
                batcher.submit(events(held, "i"))
            assert refused.value.code == "overloaded"
            with pytest.raises(OverloadError):
                batcher.submit_block(block(held, "i"))
            futures.append(batcher.submit(events(held, "j"), admitted=True))
            held.store.let_all()
            done = await asyncio.gather(*futures)
            assert told(done[-1]) == [("j", 1)]
            assert (held.outcomes(), batcher.queued) == ({"answered": 9}, 0)
            assert "i" not in held.table

    run(test())


def test_a_request_larger_than_the_queue_is_taken_when_it_is_empty(rig):
    async def test() -> None:
        async with batching(rig, max_queue=2) as batcher:
            assert len(await batcher.submit(events(rig, "a", "b", "c"))) == 3

    run(test())


def test_to_cancel_takes_nothing_back_and_holds_nobody_up(held):
    async def test() -> None:
        async with batching(held) as batcher:
            first, second = [batcher.submit(events(held, name)) for name in "ab"]
            await until(lambda: held.store.pending)
            first.cancel()
            late = batcher.submit(events(held, "c"))
            late.cancel()
            held.store.let_all()
            assert told(await second) == [("b", 1)]
            await until(lambda: batcher.queued == 0)
            assert held.outcomes() == {"answered": 3}

    run(test())


def test_what_has_waited_beyond_its_deadline_is_not_applied(held):
    async def test() -> None:
        async with batching(held) as batcher:
            over = events(held, "a", "a")
            over.deadline = time.monotonic() - 1.0
            fine = events(held, "b")
            fine.deadline = time.monotonic() + 60.0
            found = [batcher.submit(over), batcher.submit(fine)]
            held.store.let_all()
            assert told(await found[0]) == ["deadline_exceeded"] * 2
            assert told(await found[1]) == [("b", 1)]
            lone = events(held, "a")
            lone.deadline = 0.0
            assert told(await batcher.submit(lone)) == ["deadline_exceeded"]
            assert told(await batcher.submit(Part([Read("a")]))) == ["session_unknown"]
            assert batcher.queued == 0

    run(test())


def test_it_says_whether_anything_moves(held):
    async def test() -> None:
        async with batching(held) as batcher:
            assert batcher.is_moving()
            future = batcher.submit(events(held, "a"))
            await until(lambda: held.store.pending)
            assert not batcher.is_moving()
            held.store.let()
            await future
            assert batcher.is_moving()

    run(test())


# A store that fails


def test_a_store_that_fails_answers_nobody_and_leaves_nothing_behind(held):
    async def test() -> None:
        async with batching(held) as batcher:
            held.store.let_all()
            [kept] = await batcher.submit(events(held, "a", seq=1, time=1.0))
            held.store.inner.free = False
            first = batcher.submit(events(held, "a", "new", time=2.0))
            await until(lambda: len(held.store.pending) == 1)
            # A repeat of what is not durable fails with it.
            again = batcher.submit(Part([held.event("a", seq=2, time=2.0), Read("new")]))
            failed: set[str] = set()
            blocked = batcher.submit_block(block(held, "a", failed=failed))
            await rounds()
            held.store.fail()
            assert told(await first) == ["store_failed"] * 2
            assert told(await again) == ["store_failed"] * 2
            with pytest.raises(StoreError, match="store_failed"):
                await blocked
            assert batcher.failed
            assert failed == {"a"}  # nothing that comes later in its request is applied
            # While it has failed all is refused, and nothing is applied.
            assert told(await batcher.submit(events(held, "a", seq=2))) == ["store_failed"]
            assert "new" not in held.table
            assert held.store.recover()
            batcher.recovered()
            held.store.let_all()
            assert not batcher.failed
            [repeated] = await batcher.submit(events(held, "a", seq=1, time=1.0))
            assert (repeated.duplicate, repeated.answer) == (True, kept.answer)
            assert told(await batcher.submit(events(held, "a", "new", time=2.0))) == [
                ("a", 2),
                ("new", 1),
            ]
            assert batcher.queued == 0

    run(test())


def test_a_failure_that_takes_back_what_was_done_takes_it_from_memory_too(held):
    async def test() -> None:
        async with batching(held) as batcher:
            held.store.inner.interval = True
            held.store.let_all()
            await batcher.submit(events(held, "a", "b", seq=1))
            held.store.sync()
            await batcher.submit(events(held, "a", seq=2))
            await batcher.submit(events(held, "new", seq=1))
            # A batch beside them, after which the table might forget what it can take back.
            await batcher.submit(events(held, "b", seq=2))
            held.store.fail()
            await until(lambda: batcher.failed)
            assert "new" not in held.table
            held.store.recover()
            batcher.recovered()
            for session, seq in (("a", 3), ("b", 3), ("new", 2)):
                assert told(await batcher.submit(events(held, session, seq=seq))) == ["seq_gap"]
            again = await batcher.submit(Part([held.event("a", seq=2), held.event("new", seq=1)]))
            assert [answer.duplicate for answer in again] == [False, False]

    run(test())


def test_what_follows_a_lost_part_in_its_request_is_not_applied_without_it(held):
    async def test() -> None:
        async with batching(held) as batcher:
            failed: set[str] = set()
            first = batcher.submit(Part([held.event("a")], failed))
            await until(lambda: held.store.pending)
            held.store.fail()
            assert told(await first) == ["store_failed"]
            held.store.recover()
            batcher.recovered()
            second = batcher.submit(Part([held.event("a")], failed))
            assert told(await second) == ["previous_failed"]

    run(test())


def test_one_timer_sweeps_the_window_however_often_it_fills(rig):
    async def test() -> None:
        window: Window[Any] = Window(3600.0, 4)
        async with batching(rig, window=window) as batcher:
            loop = asyncio.get_running_loop()
            began = []
            call_at = loop.call_at
            loop.call_at = lambda *args, **kw: (began.append(args[1]), call_at(*args, **kw))[1]
            for seq in range(2, 40, 2):
                early = batcher.submit(events(rig, "a", seq=seq))
                await until(lambda: len(window))
                await batcher.submit(events(rig, "a", seq=seq - 1))
                await early
            assert batcher._early is not None
            assert began.count(batcher._early._sweep) == 1

    run(test())


def test_a_store_that_fails_again_and_again_never_leaves_memory_ahead(held):
    """The tickets of lost groups are not given again."""

    async def test() -> None:
        async with batching(held) as batcher:
            for _ in range(3):
                parts = [events(held, "a", seq=1), events(held, "b")]
                futures = [batcher.submit(part) for part in parts]
                await until(lambda: held.store.pending)
                futures.append(batcher.submit(events(held, "a", seq=2)))
                await until(lambda: len(held.store.pending) == 2)
                held.store.fail()
                for future in futures:
                    assert told(await future) == ["store_failed"]
                await until(lambda: batcher.failed)
                assert len(held.table) == 0
                held.store.recover()
                batcher.recovered()
            held.store.let_all()
            [first] = await batcher.submit(events(held, "a", seq=1))
            assert (first.seq, first.duplicate) == (1, False)

    run(test())


# Blocks


def block(rig: Any, *names: str, failed: set[str] | None = None, **members: Any) -> Work[Any]:
    """Make a block of columns; what it returns are numbers, and which rows are errors."""
    made = Block.of([events(rig, *names, **members)], rig.bundle.schema)
    return Work(
        rig.processor,
        made,
        set() if failed is None else failed,
        lambda _, processed, errors: (processed.seqs.tolist(), sorted(errors)),
    )


def test_blocks_and_parts_keep_their_order(held):
    async def test() -> None:
        async with batching(held) as batcher:
            futures: list[Any] = [
                batcher.submit(events(held, "a", seq=1)),
                batcher.submit_block(block(held, "a", seq=2)),
                batcher.submit(events(held, "a", seq=3)),
                batcher.submit_block(block(held, "a", "b", seq=4)),
            ]
            await until(lambda: len(held.store.pending) == 2)
            assert batcher.queued == 5
            held.store.let_all()
            found = await asyncio.gather(*futures)
            assert told(found[0]) == [("a", 1)]
            assert found[1] == ([2], [])
            assert told(found[2]) == [("a", 3)]
            assert found[3] == ([4, 4], [1])
            assert batcher.queued == 0

    run(test())


@pytest.mark.parametrize("error", [ZeroDivisionError, StoreError("store_failed", "no")])
def test_a_block_that_raises_hangs_nobody(held, caplog, error):
    def fails(*_: object) -> None:
        raise error

    def work(*names: str) -> Work[None]:
        made = Block.of([events(held, *names)], held.bundle.schema)
        return Work(held.processor, made, set(), fails)

    async def test() -> None:
        async with batching(held) as batcher:
            held.store.let_all()
            broken = batcher.submit_block(work("b", "c", "d"))
            gone = batcher.submit_block(work("e"))
            gone.cancel()
            after = batcher.submit(events(held, "a"))
            with pytest.raises(TidegateError) as refused:
                await broken
            assert refused.value.code == getattr(error, "code", "internal")
            assert told(await after) == [("a", 1)]
            assert batcher.queued == 0

    run(test())
    assert ("ZeroDivisionError" in caplog.text) == (error is ZeroDivisionError)


# Events before their turn


@contextlib.asynccontextmanager
async def reordering(rig: Any, seconds: float = 60.0, most: int = 8) -> AsyncIterator[Batcher]:
    rig.store.let_all()
    async with batching(rig, window=Window(seconds, most), max_queue=64) as batcher:
        yield batcher


def one(rig: Any, name: str, *seqs: int) -> Part:
    """Events of a session with these numbers, each with a payload of its own."""
    return Part([rig.event(name, float(seq), seq=seq, time=float(seq)) for seq in seqs])


def test_an_early_event_waits_for_its_turn(held):
    async def test() -> None:
        async with reordering(held) as batcher:
            early = [batcher.submit(one(held, "a", seq)) for seq in (3, 2, 5)]
            await rounds()
            assert not any(future.done() for future in early)
            assert told(await batcher.submit(one(held, "b", 1))) == [("b", 1)]
            assert told(await batcher.submit(one(held, "a", 1))) == [("a", 1)]
            assert told(await early[1]) == [("a", 2)]
            assert told(await early[0]) == [("a", 3)]
            assert not early[2].done()
            assert told(await batcher.submit(one(held, "a", 4))) == [("a", 4)]
            assert told(await early[2]) == [("a", 5)]
            assert batcher.queued == 0
            assert [answer.seq for answer in held.record("a").answers] == [1, 2, 3, 4, 5]

    run(test())


@pytest.mark.parametrize("order", [(1, 3, 2), (3, 2, 1), (2, 4, 1, 3), (1, 2, 4, 5, 3)])
@pytest.mark.parametrize("parts", ["one", "several"])
def test_a_request_whose_events_are_in_disorder(held, order, parts):
    async def test() -> None:
        async with reordering(held) as batcher:
            if parts == "one":
                results = await batcher.submit(one(held, "a", *order))
            else:
                failed: set[str] = set()
                futures = []
                for seq in order:
                    part = one(held, "a", seq)
                    part.failed = failed
                    futures.append(batcher.submit(part))
                results = [result for each in await asyncio.gather(*futures) for result in each]
            assert told(results) == [("a", seq) for seq in order]
            assert batcher.queued == 0

    run(test())


def test_an_event_that_failed_holds_up_the_rest_of_its_session_in_the_request(held):
    """The window is for what the network has put in disorder, not for what was refused."""

    async def test() -> None:
        async with reordering(held) as batcher:
            part = one(held, "a", 1, 2, 3)
            operations: list[Operation] = [*part.operations]
            operations[1] = held.event("a", "fast", seq=2)
            results = await batcher.submit(Part(operations))
            assert told(results) == [("a", 1), "wrong_type", "seq_gap"]

    run(test())


def test_an_early_event_is_refused_when_its_time_is_over(held):
    async def test() -> None:
        async with reordering(held, seconds=0.001) as batcher:
            [refused] = await batcher.submit(one(held, "a", 3))
            assert (refused.code, refused.expected) == ("seq_gap", 1)
            # Its number is free again.
            found = [batcher.submit(one(held, "a", seq)) for seq in (1, 2, 3)]
            assert [told(await each) for each in found] == [[("a", seq)] for seq in (1, 2, 3)]

    run(test())


def test_a_full_window_refuses_at_once(held):
    async def test() -> None:
        async with reordering(held, most=2) as batcher:
            early = [batcher.submit(one(held, "a", seq)) for seq in (2, 3)]
            assert told(await batcher.submit(one(held, "a", 4))) == ["seq_gap"]
            assert told(await batcher.submit(one(held, "a", 3))) == ["seq_gap"]
            assert told(await batcher.submit(one(held, "a", 1))) == [("a", 1)]
            assert [told(await each) for each in early] == [[("a", 2)], [("a", 3)]]

    run(test())


def test_an_early_event_whose_client_left_is_applied_in_its_turn(held):
    async def test() -> None:
        async with reordering(held) as batcher:
            early = batcher.submit(one(held, "a", 2))
            await rounds()
            early.cancel()
            assert told(await batcher.submit(one(held, "a", 1))) == [("a", 1)]
            [retried] = await batcher.submit(one(held, "a", 2))
            assert isinstance(retried, Answer)
            assert retried.duplicate

    run(test())


def test_an_early_event_is_told_that_its_session_was_deleted(held):
    async def test() -> None:
        async with reordering(held, seconds=0.01) as batcher:
            await batcher.submit(one(held, "a", 1))
            early = batcher.submit(one(held, "a", 3))
            await rounds()
            await batcher.submit(Part([Delete("a")]))
            assert told(await early) == ["seq_gap"]

    run(test())

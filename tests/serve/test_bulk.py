"""Blocks of plain lines: nobody can tell by the answers whether lines were read as such."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any
from unittest.mock import patch

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tidegate.serve import bulk, wire
from tidegate.serve.batcher import Batcher
from tidegate.serve.bulk import Bulk
from tidegate.serve.lines import Slices, answer
from tidegate.serve.model import Model
from tidegate.serve.operations import Part
from tidegate.serve.outflow import Outflow
from tidegate.serve.reorder import Window
from tidegate.spec import TaskSpec


def lines_of(events: list[dict[str, Any]]) -> bytes:
    return b"".join(msgspec.json.encode(event) + b"\n" for event in events)


def plain(session: str, seq: int | None = None, speed: float = 50.0, **members: Any) -> Any:
    fields = {"speed": speed, "load": 3.0, "road": "A1", "wet": True, "driver": "ann"}
    return {"session": session, "event": fields, **({"seq": seq} if seq else {}), **members}


def as_block(rig: Any, events: list[Any], failed: set[str], first: int = 1) -> bytes:
    work = Bulk(rig.processor).read(lines_of(events), first, len(events), failed)
    assert work is not None
    assert work.size == len(events)
    written, ticket = work.step()
    rig.processor.wait(ticket)
    return written


def as_objects(rig: Any, events: list[Any], failed: set[str], first: int = 1) -> bytes:
    parsed, numbers = wire.parse_lines(lines_of(events), first)
    return wire.encode_lines(rig.parts(Part(parsed, failed=failed)), numbers)


EVENT = st.builds(
    plain,
    st.sampled_from(["a", "b", "ü/3"]),
    st.none() | st.integers(1, 6),
    st.sampled_from([50.0, 51.5, -0.0, 1e-7]),
    time=st.sampled_from([1_700_000_000.0, 1_700_000_000.25, "2023-11-14T22:13:21Z"]),
    start=st.booleans(),
    end=st.sampled_from([False, False, True]),
)


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],  # it makes new ones
)
@given(runs=st.lists(st.lists(EVENT, min_size=1, max_size=6), min_size=1, max_size=4))
def test_a_request_has_the_same_answers_either_way(make_rig: Any, runs: Any) -> None:
    """Answers, repeats, errors and what fails after them, run after run of one request."""
    rigs = make_rig(), make_rig()
    failed: tuple[set[str], set[str]] = (set(), set())
    line = 1
    for events in runs:
        block = as_block(rigs[0], events, failed[0], line)
        assert block == as_objects(rigs[1], events, failed[1], line)
        assert failed[0] == failed[1]
        line += len(events)
    assert rigs[0].outcomes() == rigs[1].outcomes()
    assert rigs[0].kinds() == rigs[1].kinds()
    for rig in rigs:
        rig.store.close()


TASKS = {
    "two": TaskSpec("classify", "size", classes=("s", 'm"ü')),
    "three": TaskSpec("classify", "size", classes=("s", "m", "l")),
    "value": TaskSpec("regress", "size", target_mean=0.1, target_scale=3.7),
}


@pytest.mark.parametrize("name", TASKS)
def test_every_task_words_its_answers_alike(make_rig: Any, make_bundle: Any, name: str) -> None:
    bundle = make_bundle(task=TASKS[name], fingerprint=b"u" * 32)
    events = [plain(f"s-{i}", 1, speed=float(i), time=1.5 + i) for i in range(100)]
    rigs = make_rig(bundle), make_rig(bundle)
    written = as_block(rigs[0], events, set())
    assert written == as_objects(rigs[1], events, set())
    assert len({json.loads(line)["answer"].__repr__() for line in written.splitlines()}) > 50


def test_a_session_of_another_model_begins_anew_in_a_block_too(
    make_rig: Any, make_bundle: Any
) -> None:
    old, new = make_bundle(fingerprint=b"1" * 32), make_bundle(fingerprint=b"2" * 32)
    answers = []
    for do in (as_block, as_objects):
        rig = make_rig(old)
        do(rig, [plain(name, 1, time=1.0) for name in "abc"], set())
        rig.start(new)
        beside_a_repeat = do(rig, [plain("a", 2, time=2.0), plain("b", 1, time=1.0)], set())
        alone = do(rig, [plain("c", 2, time=2.0)], set())
        answers.append((beside_a_repeat, alone))
        assert rig.kinds()["reset"] == 2
    assert answers[0] == answers[1]
    assert all(b'"session_reset":true' in each for each in answers[0])


def test_a_line_that_is_not_plain_leaves_its_run_to_the_library(rig: Any) -> None:
    reader = Bulk(rig.processor)
    assert reader.read(b'{"session":"\\u0061","event":{}}\n', 1, 1, set()) is None
    assert reader.read(lines_of([plain("a")]), 1, 1, set()) is not None


async def streamed(
    rig: Any, body: bytes, *, window: Window[Any] | None = None, most: int = 100
) -> tuple[list[Any], int]:
    """Answer a body that comes in pieces; return the answers, and how many blocks there were."""
    batcher = Batcher(
        rig.processor, rig.store, rig.metrics, max_batch=50, max_queue=1000, window=window
    )
    model = Model(rig.bundle, rig.processor, batcher, rig.metrics)
    sent: list[bytes] = []

    async def send(piece: bytes) -> None:
        sent.append(piece)

    async def pieces() -> AsyncIterator[bytes]:
        for at in range(0, len(body), 10_000):
            yield body[at : at + 10_000]

    with patch.object(batcher, "submit_block", wraps=batcher.submit_block) as blocks:
        await answer(
            pieces(),
            model,
            Slices(line_bytes=10_000, most=most),
            length=len(body),
            begin=lambda: send,
            outflow=Outflow("", "", 1.0),
        )
    batcher.close()
    return [json.loads(line) for line in b"".join(sent).splitlines()], blocks.call_count


def test_many_lines_go_by_blocks_and_few_do_not(rig: Any) -> None:
    """All are answered in order, beside lines that are not plain."""
    many = [plain(f"bulk-{i % 80}", i // 80 + 1, time=1.0) for i in range(400)]
    few = [plain("few", i + 1) for i in range(bulk.LEAST_LINES - 1)]
    for events, least in ((many, 3), (few, 0)):
        answers, blocks = asyncio.run(streamed(rig, lines_of(events)))
        assert (blocks >= least, blocks > 0) == (True, least > 0)
        assert [(each["session"], each["seq"]) for each in answers] == [
            (each["session"], each["seq"]) for each in events
        ]
    odd = b'{"session":"bulk-0","event":7}\n\n' + lines_of(many[:1])
    answers, blocks = asyncio.run(streamed(rig, lines_of(many) + odd))
    assert blocks >= 2
    assert all(answer["duplicate"] for answer in answers[:400])
    assert [(each["error"]["code"], each["line"]) for each in answers[400:]] == [
        ("wrong_type", 401),
        ("seq_gap", 403),  # nothing of its session is taken after a failure
    ]
    value = rig.metrics.registry.get_sample_value
    assert value("tidegate_received_events_total", {"transport": "ndjson"}) == 400 + 402 + len(few)


def test_no_block_where_events_may_wait_for_their_turn(rig: Any) -> None:
    events = [plain(f"s-{i % 80}", 2 - i // 80) for i in range(160)]
    window: Window[Any] = Window(3600.0, 200)
    answers, blocks = asyncio.run(streamed(rig, lines_of(events), window=window, most=2048))
    assert blocks == 0
    assert [(each["session"], each["seq"]) for each in answers] == [
        (each["session"], each["seq"]) for each in events
    ]


def test_after_a_block_that_the_store_lost_nothing_of_its_sessions_is_applied(rig: Any) -> None:
    events = [plain(f"s-{i % 100}") for i in range(200)]
    rig.store.broken = True
    answers, blocks = asyncio.run(streamed(rig, lines_of(events)))
    assert blocks == 2
    assert [each["error"]["code"] for each in answers] == ["store_failed"] * 200
    assert [each["line"] for each in answers] == [*range(1, 201)]
    assert len(rig.table) == 0
    rig.store.broken = False
    answers, _ = asyncio.run(streamed(rig, lines_of(events)))
    assert [each["seq"] for each in answers] == [1] * 100 + [2] * 100

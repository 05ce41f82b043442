"""Blocks of plain lines: nobody can tell by the answers whether lines were read as such."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tidegate.serve import bulk, wire
from tidegate.serve.bulk import Bulk
from tidegate.serve.operations import Part
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
        do(rig, [plain("a", 1, time=1.0), plain("b", 1, time=1.0)], set())
        rig.start(new)
        answers.append(do(rig, [plain("a", 2, time=2.0), plain("b", 1, time=1.0)], set()))
        assert rig.kinds()["reset"] == 1
    assert answers[0] == answers[1]
    assert b'"session_reset":true' in answers[0]


def test_a_line_that_is_not_plain_leaves_its_run_to_the_library(rig: Any) -> None:
    reader = Bulk(rig.processor)
    assert reader.read(b'{"session":"\\u0061","event":{}}\n', 1, 1, set()) is None
    assert reader.read(lines_of([plain("a")]), 1, 1, set()) is not None


def test_a_stream_of_many_lines_goes_by_blocks_and_one_of_few_does_not(server, payload):
    """Both are answered in order, beside lines that are not plain."""
    many = [payload(session=f"bulk-{i % 80}", seq=i // 80 + 1) for i in range(400)]
    few = [payload(session="few", seq=i + 1) for i in range(bulk.LEAST_LINES - 1)]
    for events in (many, few):
        status, answers = server.lines(events)
        assert status == 200
        assert [(each["session"], each["seq"]) for each in answers] == [
            (each["session"], each["seq"]) for each in events
        ]
    body = lines_of(many) + b'{"session":"bulk-0","event":7}\n\n' + lines_of(many[:1])
    status, answers = server.lines(body)
    assert status == 200
    assert all(answer["duplicate"] for answer in answers[:400])
    assert [(each["error"]["code"], each["line"]) for each in answers[400:]] == [
        ("wrong_type", 401),
        ("seq_gap", 403),  # nothing of its session is taken after a failure
    ]
    assert server.counter("tidegate_received_events_total", transport="ndjson") == 865

"""Sessions through the client, against a real server and real faults."""

from __future__ import annotations

import asyncio
import math
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gate import Gate

from tidegate.client import AsyncClient, Client, UnansweredError
from tidegate.errors import InputError, OverloadError, SequenceError

BUSY = (503, {"retry-after": "0.2"}, b'{"error":{"code":"overloaded","message":"full","hint":""}}')


@pytest.fixture
def client(gate: Any) -> Any:
    with Client(gate.url, "small", deadline=20) as made:
        yield made


def test_a_session_is_numbered_and_equals_the_replay(client: Any, event: Any, replay: Any) -> None:
    session = client.session("plain/7 ü")
    events = [event(speed) for speed in (10.0, 60.0, None, 90.0)]
    said = [session.send(one, time=1000.0 + i) for i, one in enumerate(events)]
    assert [answer.seq for answer in said] == [1, 2, 3, 4]
    assert not any(answer.duplicate for answer in said)
    assert [answer.answer for answer in said] == replay(events, [1000.0, 1001.0, 1002.0, 1003.0])
    assert client.read("plain/7 ü").seq == session.seq == 4


def test_another_program_goes_on_where_the_session_stands(client: Any, event: Any) -> None:
    client.session("taken over").send(event())
    again = client.session("taken over")
    assert again.seq is None
    assert again.send(event()).seq == 2
    assert client.session("taken over").resume() == 2


@pytest.mark.parametrize("name", [".", "..", "%2F", "a?b#c", "x" * 512])
def test_ids_that_a_path_could_mistake(client: Any, event: Any, name: str) -> None:
    assert client.session(name).send(event()).session == name


def test_begin_end_and_delete(client: Any, event: Any) -> None:
    session = client.session("a life")
    session.send(event())
    assert session.send(event(), end=True).seq == 2
    with pytest.raises(SequenceError) as ended:
        session.send(event())
    assert ended.value.code == "session_ended"
    assert session.pending is None
    assert session.send(event(), start=True).seq == 1
    client.delete("a life")
    client.delete("a life")
    with pytest.raises(SequenceError, match="session_deleted"):
        client.session("a life").send(event())
    assert client.session("a life").send(event(), start=True).seq == 1
    client.delete("there is none")


def test_wrong_input_uses_no_number(client: Any, event: Any) -> None:
    session = client.session("careful")
    with pytest.raises(InputError) as refused:
        session.send({**event(), "color": "red"})
    assert (refused.value.code, refused.value.field) == ("unknown_field", "color")
    assert refused.value.hint
    for value, code in (
        (math.nan, "not_finite"),
        (np.float32("inf"), "not_finite"),
        (object(), "wrong_type"),
        (b"bytes", "wrong_type"),
        (np.ones(2), "wrong_type"),
        ("\ud800", "wrong_type"),
        ([1.0], "wrong_type"),
    ):
        with pytest.raises(InputError) as refused:
            session.send(event(value))
        assert (refused.value.code, refused.value.field) == (code, "speed")
    with pytest.raises(InputError, match="bad_time"):
        session.send(event(), time="yesterday")
    assert session.pending is None
    changed = {"wet": np.bool_(True), "road": np.str_("A1")}
    assert session.send(event(np.float32(50)), time="2026-01-31T06:15:00Z").seq == 1
    assert session.send(event(np.int64(50), **changed)).seq == 2


def test_who_sends_beside_is_told(client: Any, event: Any) -> None:
    mine, other = client.session("shared"), client.session("shared")
    mine.send(event())
    other.send(event())
    with pytest.raises(SequenceError) as told:
        mine.send(event(99.0))
    assert (told.value.code, told.value.expected) == ("payload_conflict", 3)
    assert mine.resume() == 2
    assert mine.send(event(99.0)).seq == 3


def test_answers_that_were_lost_come_as_duplicates(
    gate: Any, between: Any, event: Any, replay: Any
) -> None:
    proxy = between(gate.port, lambda n: "drop" if n % 2 else "pass")
    with Client(proxy.url, "small", deadline=20) as client:
        session = client.session("lossy")
        events = [event(float(speed)) for speed in range(12)]
        said = [session.send(one, time=float(i)) for i, one in enumerate(events)]
    assert [answer.seq for answer in said] == list(range(1, 13))
    assert all(answer.duplicate for answer in said)
    assert [answer.answer for answer in said] == replay(events, [float(i) for i in range(12)])


def test_a_busy_server_is_waited_for(gate: Any, between: Any, event: Any) -> None:
    proxy = between(gate.port, lambda n: BUSY if n <= 3 else "pass")
    with Client(proxy.url, "small", deadline=20) as client:
        answer = client.session("patient").send(event(), start=True)
    assert (answer.seq, answer.duplicate) == (1, False)
    assert len({body for _, body in proxy.seen}) == 1  # the same event, with its number


def test_a_server_that_stays_busy_has_applied_nothing(between: Any, event: Any) -> None:
    proxy = between(0, lambda _: BUSY)
    with Client(proxy.url, "small", deadline=0.5) as client:
        session = client.session("refused")
        with pytest.raises(OverloadError) as busy:
            session.send(event(), start=True)
    assert busy.value.code == "overloaded"
    assert 2 <= proxy.requests <= 4  # Retry-After is 0.2 seconds
    assert session.pending is None


def test_a_server_that_is_not_there_has_applied_nothing(event: Any) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # taken, and not listened on
        with Client(f"http://127.0.0.1:{bound.getsockname()[1]}", "small", deadline=0.2) as client:
            session = client.session("x")
            for start in (False, True):
                with pytest.raises(OverloadError, match="unreachable"):
                    session.send(event(), start=start)
            assert session.pending is None


def test_what_nobody_knows_is_said_and_settled_by_a_retry(
    gate: Any, between: Any, event: Any
) -> None:
    behaviour: Any = "drop"
    proxy = between(gate.port, lambda _: behaviour)
    with Client(proxy.url, "small", deadline=0.3) as client:
        session = client.session("doubtful")
        with pytest.raises(UnansweredError) as unknown:
            session.send(event(), start=True)
        assert unknown.value.code == "unanswered"
        assert "retry" in unknown.value.hint or "repeat" in unknown.value.hint
        assert session.pending == 1
        with pytest.raises(InputError, match="event_pending"):
            session.send(event())
        behaviour = BUSY  # says nothing of the first attempt
        with pytest.raises(OverloadError):
            session.retry()
        assert session.pending == 1
        behaviour = "pass"
        settled = session.retry()
        assert (settled.seq, settled.duplicate) == (1, True)
        assert session.send(event()).seq == 2
        with pytest.raises(InputError, match="nothing_pending"):
            session.retry()


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ((200, {}, b"<html>hello</html>"), "bad_answer"),
        ((404, {}, b"not found"), "bad_answer"),
        ((401, {}, b'{"error":{"code":"unauthorized","message":"no","hint":""}}'), "unauthorized"),
    ],
)
def test_what_is_no_answer_leaves_the_event_pending(
    between: Any, event: Any, answer: Any, code: str
) -> None:
    proxy = between(0, lambda _: answer)
    with Client(proxy.url, "small") as client:
        session = client.session("x")
        with pytest.raises(Exception, match=code):
            session.send(event(), start=True)
        assert session.pending == 1


def test_settings_are_checked() -> None:
    for url, options in (
        ("localhost:1", {}),
        ("http://h", {"timeout": 0}),
        ("http://h", {"deadline": math.nan}),
    ):
        with pytest.raises(InputError, match="bad_setting"):
            Client(url, "small", **options)


def test_kills_in_the_middle_of_many_sessions(
    saved_bundle: Path, tmp_path: Path, event: Any, replay: Any
) -> None:
    gate = Gate(saved_bundle, tmp_path / "store")
    sessions, length, kills = 8, 30, (40, 110, 180)
    answered = 0
    said: dict[str, list[Any]] = {}

    async def stream(client: AsyncClient, name: str) -> None:
        nonlocal answered
        session = client.session(name)
        said[name] = []
        for place in range(length):
            said[name].append(await session.send(event(float(place)), time=float(place)))
            answered += 1
            if answered in kills:  # the others have events on the way
                gate.end()
                gate.start()

    async def run() -> None:
        async with AsyncClient(gate.url, "small", deadline=30) as client:
            await asyncio.gather(*(stream(client, f"s{i}") for i in range(sessions)))
            for name in said:
                assert (await client.read(name)).seq == length

    try:
        asyncio.run(run())
    finally:
        gate.close()
    events = [event(float(place)) for place in range(length)]
    expected = replay(events, [float(place) for place in range(length)])
    assert len(said) == sessions
    for answers in said.values():
        assert [answer.seq for answer in answers] == list(range(1, length + 1))
        assert [answer.answer for answer in answers] == expected


CRASH = """
import os, sys
from tidegate.client import Client
url, journal = sys.argv[1:]
client = Client(url, "small", timeout=30)
session = client.session("crashed", journal=journal)
event = {"speed": 1.0, "load": 3.0, "road": "A1", "wet": True, "driver": "ann"}
session.send(event, time=1.0)
session.send({**event, "speed": 2.0}, time=2.0)
"""


def test_a_client_that_crashed_goes_on_by_its_journal(
    gate: Any, between: Any, event: Any, replay: Any, tmp_path: Path
) -> None:
    journal = tmp_path / "crashed.journal"
    program: subprocess.Popen[bytes]

    def behave(number: int) -> str:
        if number == 3:  # where it stands, event 1, event 2: it dies before that is answered
            program.kill()
            return "drop"
        return "pass"

    proxy = between(gate.port, behave)
    program = subprocess.Popen([sys.executable, "-c", CRASH, proxy.url, str(journal)])
    assert program.wait(timeout=60) == -9
    with Client(gate.url, "small") as client, client.session("crashed", journal=journal) as session:
        assert (session.seq, session.pending) == (1, 2)
        settled = session.retry()
        last = session.send(event(3.0), time=3.0)
    assert settled.seq == 2
    expected = replay([event(1.0), event(2.0), event(3.0)], [1.0, 2.0, 3.0])
    assert [settled.answer, last.answer] == expected[1:]
    with Client(gate.url, "small") as client, client.session("crashed", journal=journal) as session:
        assert (session.seq, session.pending) == (3, None)


def test_a_journal_is_of_one_session(client: Any, event: Any, tmp_path: Path) -> None:
    path = tmp_path / "j"
    with client.session("mine", journal=path) as session:
        session.send(event())
        with pytest.raises(InputError, match="unknown_field"):
            session.send({"x": 1})
    with client.session("mine", journal=path) as session:
        assert (session.seq, session.pending) == (1, None)
    path.write_bytes(path.read_bytes() + b'{"type":"sent","model":"small","ses')  # torn: never sent
    with client.session("mine", journal=path) as session:
        assert session.seq == 1
        assert session.send(event()).seq == 2
    lines = path.read_bytes().splitlines()
    path.write_bytes(lines[1].replace(b'"mine"', b'"other"') + b"\n")
    with pytest.raises(InputError, match="wrong_journal"):
        client.session("mine", journal=path)
    path.write_bytes(b"hello\n")
    with pytest.raises(InputError, match="wrong_journal"):
        client.session("mine", journal=path)
    with pytest.raises(InputError, match="cannot_write"):
        client.session("mine", journal=tmp_path)


def test_importing_loads_no_server_and_no_torch() -> None:
    code = (
        "import sys, tidegate.client\n"
        "heavy = {'torch', 'granian', 'httpx', 'numpy', 'polars', 'safetensors',"
        " 'prometheus_client', 'tidegate.serve', 'tidegate.store',"
        " 'tidegate.metrics', 'tidegate.engine'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"

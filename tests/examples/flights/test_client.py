"""What a client makes of answers that a healthy server does not give."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest
from client import Address, Client, Journal, Outgoing, ServerGoneError

EVENTS = [Outgoing.of("m", "a/b", seq, 60.0 * seq, {"x": 1.0}) for seq in (1, 2)]


def answer(seq: int, **changed: Any) -> bytes:
    members = {
        "session": "a/b",
        "seq": seq,
        "time": 60.0 * seq,
        "model_version": "1",
        "answer": {"value": 0.5},
    }
    body = json.dumps({**members, **changed}).encode()
    return b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)


OVERLOADED = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 0\r\ncontent-length: 2\r\n\r\n{}"
CONFLICT = b'HTTP/1.1 409 Conflict\r\ncontent-length: 27\r\n\r\n{"error":{"code":"seq_gap"}}'


def walk(script: Sequence[bytes | None]) -> tuple[Journal, list[bytes]]:
    """Send two events to a peer that answers by a script; None: it hangs up."""
    lines = iter(script)
    seen: list[bytes] = []
    journal = Journal()

    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                seen.append(await reader.readexactly(length))
                line = next(lines)
                if line is None:
                    break
                writer.write(line)
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()

    async def run() -> None:
        server = await asyncio.start_server(peer, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        address = Address()
        address.found(f"http://127.0.0.1:{port}")
        try:
            await Client(address, journal).walk(EVENTS, lambda: None)
        finally:
            server.close()
            await server.wait_closed()

    asyncio.run(run())
    return journal, seen


def test_answers_are_kept_as_they_came():
    journal, seen = walk([answer(1), answer(2)])
    assert [(r.seq, r.answer, r.attempts) for r in journal.received] == [
        (1, b'{"value": 0.5}', 1),
        (2, b'{"value": 0.5}', 1),
    ]
    assert json.loads(seen[1]) == {"seq": 2, "time": 120.0, "event": {"x": 1.0}}
    assert journal.continuity_errors == []
    assert journal.settled == 2


def test_the_session_is_one_segment_of_the_path():
    assert EVENTS[0].request.startswith(b"POST /v1/models/m/sessions/a%2Fb/events HTTP/1.1\r\n")


def test_a_full_server_is_asked_again_when_it_says():
    journal, seen = walk([OVERLOADED, OVERLOADED, answer(1), answer(2)])
    assert [r.attempts for r in journal.received] == [3, 1]
    assert seen[0] == seen[1] == seen[2]
    assert journal.continuity_errors == []


@pytest.mark.parametrize(
    ("first", "what"),
    [
        (CONFLICT, "status 409"),
        (answer(2), "the answer is of a/b seq 2"),
        (answer(1, session="other"), "the answer is of other seq 1"),
        (answer(1, time=61.0), "has time 61.0"),
        (answer(1, session_reset=True), "begun anew"),
        (answer(1, duplicate=True), "called a duplicate"),
    ],
)
def test_what_does_not_continue_the_session_is_an_error_and_ends_it(first, what):
    journal, seen = walk([first])
    (error,) = journal.continuity_errors
    assert error.startswith("a/b seq 1: ")
    assert what in error
    assert journal.received == []
    assert len(seen) == 1  # seq 2 is not sent
    assert journal.settled == 2


def test_a_server_that_goes_away_by_itself_is_an_error():
    with pytest.raises(ServerGoneError, match="a/b seq 2"):
        walk([answer(1), None])


def test_a_server_that_was_never_there_is_an_error():
    async def run() -> None:
        nobody = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
        port = nobody.sockets[0].getsockname()[1]
        nobody.close()
        await nobody.wait_closed()
        address = Address()
        address.found(f"http://127.0.0.1:{port}")
        await Client(address, Journal()).walk(EVENTS, lambda: None)

    with pytest.raises(ServerGoneError, match="a/b seq 1"):
        asyncio.run(run())

"""Connections that break, stall, split and repeat: an event is applied whole, and once."""

from __future__ import annotations

import itertools
import json
import random
import re
import socket
import threading

import msgspec
import pytest
from faults.campaign import Campaign
from faults.clients import Item, event_of, make_event
from faults.history import History

LENGTH = re.compile(rb"(?i)content-length: *(\d+)")


@pytest.fixture(scope="module")
def events():
    rng = random.Random(5)
    return [make_event(rng, seq) for seq in range(1, 600)]


@pytest.fixture(scope="module")
def server(saved_bundle, tmp_path_factory):
    """One server for all, each with sessions of its own."""
    folder = tmp_path_factory.mktemp("network")
    with Campaign(saved_bundle, folder, 0, recorded=False) as made:
        made.start()
        yield made


@pytest.fixture
def run(server):
    server.history = History()
    return server


def path_of(session):
    return f"/v1/models/small/sessions/{session}/events"


def request(session, content):
    body = json.dumps(content).encode()
    head = f"POST {path_of(session)} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def connect(run):
    connection = socket.create_connection(("127.0.0.1", run.port), timeout=20)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def read_answer(connection):
    """Read the one response that is on its way; return its status and its body."""
    (answer,) = read_answers(connection, 1)
    return answer


def read_answers(connection, n):
    """Read the next `n` responses, which are all that is on its way."""
    answers = []
    data = b""
    while len(answers) < n:
        head, gap, rest = data.partition(b"\r\n\r\n")
        length = int(LENGTH.search(head)[1]) if gap else 0
        if gap and len(rest) >= length:
            answers.append((int(head.split()[1]), rest[:length]))
            data = rest[length:]
            continue
        more = connection.recv(65536)
        if not more:
            raise ConnectionResetError
        data += more
    assert data == b""
    return answers


def settle(run, attempt, body):
    item = msgspec.json.decode(body, type=Item)
    assert bytes(item.answer), body
    said = {"session": item.session, "seq": item.seq, "time": item.time}
    if item.duplicate:
        said["duplicate"] = True
    run.history.answered(attempt, bytes(item.answer), said)
    return item


def post(run, session, sent):
    """Send an event on a connection of its own, and take its answer."""
    attempt = run.history.began(session, sent)
    with connect(run) as connection:
        connection.sendall(request(session, event_of(sent)))
        status, body = read_answer(connection)
        assert status == 200, body
        return settle(run, attempt, body)


def wait_until_read(run):
    """Wait until the server has taken what was sent so far: an answer comes after it."""
    for _ in range(2):
        assert run.get("/healthz")[0] == 200


def reset(connection):
    """Close it so that the other side is told at once, whatever is still on its way."""
    linger = (1).to_bytes(4, "little") + bytes(4)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    connection.close()


def done(run, faults):
    run.tally.faults += faults
    run.passes()


@pytest.mark.parametrize("how", ["close", "reset"])
def test_an_answer_that_is_lost_is_given_again(run, events, how):
    session = f"lost-{how}"
    for sent in events[:30]:
        run.history.began(session, sent)
        connection = connect(run)
        connection.sendall(request(session, event_of(sent)))
        if how == "reset":
            wait_until_read(run)
            reset(connection)
        else:
            connection.close()
        post(run, session, sent)
    done(run, 30)


def test_one_event_from_many_connections_at_once_is_applied_once(run, events):
    for sent in events[:20]:
        gate = threading.Barrier(8)
        items = []

        def race(sent=sent, gate=gate, items=items):
            gate.wait(20)
            items.append(post(run, "race", sent))

        threads = [threading.Thread(target=race) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert sorted(item.duplicate for item in items) == [False] + [True] * 7
    done(run, 20)


def test_a_request_that_is_split_at_every_byte(run, events):
    session = "split"
    size = len(request(session, event_of(events[0])))
    with connect(run) as connection:
        for cut, sent in enumerate(events[: size - 1], start=1):
            data = request(session, event_of(sent))
            attempt = run.history.began(session, sent)
            connection.sendall(data[:cut])
            wait_until_read(run)
            connection.sendall(data[cut:])
            status, body = read_answer(connection)
            assert status == 200, (cut, body)
            settle(run, attempt, body)
    done(run, size)


def test_a_request_that_is_cut_off_at_every_byte_changes_nothing(run, events):
    session = "cut"
    post(run, session, events[0])
    data = request(session, event_of(events[1]))
    for cut in range(1, len(data)):
        connection = connect(run)
        connection.sendall(data[:cut])
        if cut % 2:
            connection.shutdown(socket.SHUT_WR)
            connection.close()
        else:
            reset(connection)
    wait_until_read(run)
    assert run.get(path_of(session).removesuffix("/events"))[1]["seq"] == 1
    assert not post(run, session, events[1]).duplicate
    done(run, len(data))


@pytest.mark.parametrize("chunked", [False, True])
def test_of_lines_that_are_cut_off_the_whole_ones_are_applied(run, events, chunked):
    """A part of a line is not a line, even where what came of it could be one."""
    session = f"lines-{chunked}"
    lines = [json.dumps(event_of(sent, session)).encode() + b"\n" for sent in events[:4]]
    body = b"".join(lines)
    head = "POST /v1/models/small/events HTTP/1.1\r\nHost: x\r\n"
    head += "Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(body)}"
    cuts = [*range(1, len(body), 7), *itertools.accumulate(map(len, lines[:-1]))]
    whole = 0
    for sent in events[:3]:  # they may have been applied, and nobody was told
        run.history.began(session, sent)
    for cut in sorted({*cuts, *(n - 1 for n in cuts)} - {0}):
        part = body[:cut]
        whole = max(whole, part.count(b"\n"))
        with connect(run) as connection:
            connection.sendall(head.encode() + b"\r\n\r\n" + (chunk(part) if chunked else part))
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(65536):  # until the server, too, is done with it
                pass
        status, view = run.get(path_of(session).removesuffix("/events"))
        assert (view["seq"] if status == 200 else 0) == whole, cut
    assert whole == 3
    for sent in events[:3]:
        assert post(run, session, sent).duplicate
    assert not post(run, session, events[3]).duplicate
    done(run, len(cuts))


def chunk(data):
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def test_the_last_line_of_a_stream_needs_its_newline(run, events):
    lines = [json.dumps(event_of(sent, "streamed")).encode() + b"\n" for sent in events[:2]]
    body = chunk(b"".join(lines)[:-1]) + chunk(b"")
    attempts = [run.history.began("streamed", sent) for sent in events[:2]]
    with connect(run) as connection:
        head = "POST /v1/models/small/events HTTP/1.1\r\nHost: x\r\n"
        connection.sendall(head.encode() + b"Transfer-Encoding: chunked\r\n\r\n" + body)
        answer = b""
        while b"line_cut" not in answer:
            answer += connection.recv(65536)
    (first,) = [line for line in answer.splitlines() if b'"answer"' in line]
    settle(run, attempts[0], first)
    assert run.get(path_of("streamed").removesuffix("/events"))[1]["seq"] == 1
    assert not post(run, "streamed", events[1]).duplicate
    done(run, 1)


def test_slow_and_silent_clients_hold_nobody_up(run, events):
    silent = [connect(run) for _ in range(20)]
    half = [connect(run) for _ in range(20)]
    for number, connection in enumerate(half):
        connection.sendall(request(f"half-{number}", event_of(events[0]))[:-1])
    deaf = connect(run)  # sends, and never reads
    for sent in events[:100]:
        run.history.began("deaf", sent)
        deaf.sendall(request("deaf", event_of(sent)))
    for sent in events[:20]:
        post(run, "quick", sent)
    for number, connection in enumerate(half):
        attempt = run.history.began(f"half-{number}", events[0])
        connection.sendall(request(f"half-{number}", event_of(events[0]))[-1:])
        settle(run, attempt, read_answer(connection)[1])
    for connection in [*silent, *half, deaf]:
        connection.close()
    done(run, 41)


def test_requests_that_follow_each_other_without_waiting(run, events):
    """HTTP pipelining: answers come in the order of the requests."""
    with connect(run) as connection:
        for first in range(0, 60, 6):
            some_events = events[first : first + 6]
            attempts = [run.history.began("pipe", sent) for sent in some_events]
            connection.sendall(b"".join(request("pipe", event_of(sent)) for sent in some_events))
            answers = read_answers(connection, 6)
            for attempt, (status, body) in zip(attempts, answers, strict=True):
                assert status == 200, body
                settle(run, attempt, body)
    done(run, 10)

"""What an operator sees of a real server: its logs, connections, limits and figures."""

from __future__ import annotations

import json
import select
import time

import msgspec


def test_connections_beyond_the_limit_wait_until_one_ends(start):
    server = start(max_connections=2)
    first, second, third = (server.connect() for _ in range(3))
    for connection in (first, second, third):
        connection.request("GET", "/healthz")
    for connection in (first, second):
        assert connection.getresponse().read() == b'{"status":"alive"}'
    for _ in range(20):
        first.request("GET", "/healthz")
        first.getresponse().read()
    assert not select.select([third.sock], [], [], 0)[0]
    second.close()
    assert third.getresponse().read() == b'{"status":"alive"}'
    first.close()
    third.close()


def test_connections_are_counted(start):
    server = start()
    held = [server.connect() for _ in range(3)]
    for connection in held:
        connection.request("GET", "/healthz")
        connection.getresponse().read()
    assert server.counter("tidegate_connections") == 3 + 1  # and the one that asks
    for connection in held:
        connection.close()
    deadline = time.monotonic() + 20
    while server.counter("tidegate_connections") != 1:
        assert time.monotonic() < deadline


def test_figures_of_the_start_and_of_memory_are_there(start):
    server = start(memory_mb=512, stall_meter=True)
    assert server.counter("tidegate_model_load_seconds") > 0
    assert server.counter("tidegate_recovery_seconds") > 0
    assert server.counter("tidegate_memory_bound_bytes") == 512 * 1024 * 1024
    assert 0 < server.counter("tidegate_memory_bytes") < 512 * 1024 * 1024
    deadline = time.monotonic() + 20
    while server.counter("tidegate_loop_stall_seconds_count") == 0:
        assert time.monotonic() < deadline
    assert server.end() == (0, "")


def test_the_drain_is_logged_as_json(start):
    code, errors = start(log_level="info").end()
    assert code == 0
    told = [msgspec.json.decode(line) for line in errors.splitlines()]
    assert [line["msg"] for line in told] == ["draining", "drained"]


def test_lines_for_people(start):
    _, errors = start(log_level="info", log_format="text").end()
    assert " INFO    tidegate.serve.server: draining\n" in errors


def test_a_server_that_goes_on_is_alive(start):
    server = start()
    status, body, _ = server.request("GET", "/healthz")
    assert (status, json.loads(body)) == (200, {"status": "alive"})

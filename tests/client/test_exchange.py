"""Retries, driven by hand: no network and no time but what the test says."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.client.exchange import (
    Lost,
    Pause,
    Reply,
    Request,
    Retries,
    UnansweredError,
    line_error,
    persist,
)
from tidegate.errors import OverloadError, TidegateError

POST, GET = Request("POST", "/x", b"{}"), Request("GET", "/x")
OK = Reply(200, {}, b"{}")


def error(status: int, code: str, **headers: str) -> Reply:
    body = b'{"error":{"code":"%b","message":"m","hint":"h"}}' % code.encode()
    return Reply(status, {name.replace("_", "-"): text for name, text in headers.items()}, body)


LOST, REFUSED = Lost("ReadTimeout", sent=True), Lost("ConnectError", sent=False)
BUSY, FAILED = error(503, "overloaded"), error(503, "store_failed")
INTERNAL, LATE = error(500, "internal"), error(408, "body_timeout")
PASSING = [
    LOST,
    REFUSED,
    BUSY,
    FAILED,
    INTERNAL,
    LATE,
    Reply(502, {}, b"<html>"),
    Reply(429, {}, b""),
]
CERTAIN = [REFUSED, BUSY, LATE]
DEFINITE = [
    OK,
    error(409, "seq_gap"),
    error(400, "wrong_type"),
    error(401, "unauthorized"),
    error(500, "record_damaged"),
]


def drive(request: Request, become: list[Any], retries: Retries, now: list[float]) -> Any:
    """Run an exchange, where pauses take their time, and attempts a hundredth of a second."""
    exchange, attempts, got = persist(request, retries, "it"), 0, None
    try:
        while True:
            wanted = exchange.send(got)
            if isinstance(wanted, Pause):
                now[0] += wanted.seconds
                got = None
            else:
                assert wanted is request
                now[0] += 0.01
                got = become[min(attempts, len(become) - 1)]
                attempts += 1
    except StopIteration as done:
        return done.value, attempts


@settings(deadline=None, max_examples=60)
@given(st.lists(st.sampled_from(PASSING), max_size=8), st.sampled_from(DEFINITE))
def test_the_same_is_sent_until_there_is_a_definite_answer(failures: Any, last: Reply) -> None:
    now = [0.0]
    retries = Retries(1e6, clock=lambda: now[0])
    assert drive(POST, [*failures, last], retries, now) == (last, len(failures) + 1)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.sampled_from(PASSING), min_size=1, max_size=5), st.sampled_from([POST, GET]))
def test_a_deadline_says_whether_it_may_have_been_applied(failures: Any, request: Request) -> None:
    now = [0.0]
    retries = Retries(30.0, clock=lambda: now[0])
    with pytest.raises(TidegateError) as given_up:
        drive(request, failures, retries, now)
    assert 25.0 < now[0] <= 30.0
    doubtful = request is POST and any(failure not in CERTAIN for failure in failures)
    assert isinstance(given_up.value, UnansweredError) == doubtful
    if not doubtful and failures[-1] is REFUSED:
        assert given_up.value.code == "unreachable"
    if request is POST and not doubtful and failures[-1] is BUSY:
        assert isinstance(given_up.value, OverloadError)


def test_the_server_says_how_long_to_wait() -> None:
    for text, least, most in (
        ("3", 3.0, 3.05),
        ("-5", 0.0, 0.05),
        ("nan", 0, 0.05),
        ("Sat, 1", 0, 0.05),
    ):
        exchange = persist(POST, Retries(), "it")
        next(exchange)
        pause = exchange.send(error(503, "overloaded", retry_after=text))
        assert isinstance(pause, Pause)
        assert least <= pause.seconds <= most


@given(st.integers(1, 10_000))
def test_waits_grow_to_a_bound(failures: int) -> None:
    retries = Retries(first=0.05, most=2.0)
    full = min(2.0, 0.05 * 2.0 ** min(failures - 1, 50))
    assert full / 2 <= retries.wait(failures, 0.0) <= full


def test_lines_that_may_change_are_told_from_those_that_do_not() -> None:
    stale, failed = error(409, "seq_stale").body, FAILED.body
    assert line_error(b"{}\n" + stale + b"\n") is None
    found = line_error(b"{}\n" + stale + b"\n" + failed + b"\n")
    assert found is not None
    assert found.code == "store_failed"

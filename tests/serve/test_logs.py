"""Log lines: for machines, without sessions and payloads, and never in the way."""

from __future__ import annotations

import io
import json
import logging
import re
import threading

import pytest

from tidegate.serve.logs import Logs, RequestIds, session_hash

log = logging.getLogger("tidegate.somewhere")


def lines_of(*calls, form="json", level="info"):
    stream = io.StringIO()
    with Logs(form, level, stream):
        for call in calls:
            call()
    return stream.getvalue().splitlines()


def fail():
    raise ValueError("ann drove 92 km/h")


def log_failure():
    try:
        fail()
    except ValueError:
        log.exception("a batch failed")


def test_a_line_is_one_object():
    (line,) = lines_of(lambda: log.warning("%d\nof %s", 3, '"4"', extra={"batch": 7}))
    members = json.loads(line)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", members.pop("time"))
    assert members == {
        "level": "warning",
        "msg": '3\nof "4"',
        "logger": "tidegate.somewhere",
        "batch": 7,
    }


def test_the_request_and_the_session_are_told_but_not_named():
    told = {"session": "ann", "request_id": "r-1"}
    (line,) = lines_of(lambda: log.warning("slow", extra=told))
    members = json.loads(line)
    assert members["request_id"] == "r-1"
    assert members["session_hash"] == session_hash("ann")
    assert re.fullmatch("[0-9a-f]{12}", members["session_hash"])
    assert "ann" not in line
    (line,) = lines_of(lambda: log.warning("slow"))
    assert "request_id" not in json.loads(line)


def test_payloads_and_secrets_are_left_out():
    extra = {"payload": "SECRET", "event": "SECRET", "body": b"SECRET", "token": "SECRET", "n": 1}
    (line,) = lines_of(lambda: log.warning("x", extra=extra))
    assert "SECRET" not in line
    assert json.loads(line)["n"] == 1


@pytest.mark.parametrize("form", ["json", "text"])
def test_an_exception_tells_where_but_what_only_when_debugging(form):
    shown = "\n".join(lines_of(log_failure, form=form))
    assert "ValueError" in shown
    assert "test_logs.py" in shown
    assert "ann" not in shown
    assert "ann drove" in "\n".join(lines_of(log_failure, form=form, level="debug"))


def test_a_text_line_cannot_bring_another():
    lines = lines_of(lambda: log.warning("a\nERROR b", extra={"n": 1}), form="text")
    assert len(lines) == 1
    assert lines[0].endswith("WARNING tidegate.somewhere: a\\nERROR b n=1")


def test_levels_and_other_loggers():
    def talk():
        for name in ("tidegate.x", "_granian", "asyncio"):
            for level in (logging.DEBUG, logging.INFO, logging.ERROR):
                logging.getLogger(name).log(level, "%s %d", name, level)

    said = {level: [json.loads(x)["msg"] for x in lines_of(talk, level=level)] for level in LEVELS}
    errors = ["tidegate.x 40", "_granian 40", "asyncio 40"]
    assert said["warning"] == said["error"] == errors
    assert said["info"] == ["tidegate.x 20", *errors]
    assert len(said["debug"]) == 9


LEVELS = ("debug", "info", "warning", "error")


def test_loggers_are_as_they_were_afterwards():
    logger = logging.getLogger("tidegate")
    before = (logger.handlers[:], logger.level, logger.propagate)
    lines_of(lambda: log.warning("x"))
    assert (logger.handlers, logger.level, logger.propagate) == before


class Blocked(io.StringIO):
    """A stream that takes nothing until it is let go."""

    def __init__(self):
        super().__init__()
        self.go = threading.Event()

    def write(self, text):
        self.go.wait()
        return super().write(text)


def test_a_stream_that_takes_nothing_stops_nobody_and_what_is_lost_is_told():
    stream = Blocked()
    with Logs(stream=stream):
        for i in range(12_000):  # 10,000 are queued, one is being written
            log.warning("line %d", i)
        stream.go.set()
    members = [json.loads(line) for line in stream.getvalue().splitlines()]
    (lost,) = [m for m in members if "dropped" in m]
    said = [m["msg"] for m in members if "dropped" not in m]
    assert said == [f"line {i}" for i in range(len(said))]
    assert lost["dropped"] == 12_000 - len(said)


def test_a_line_that_cannot_be_made_is_not_worth_a_crash():
    lines = lines_of(lambda: log.warning("%d", "x"), lambda: log.warning("next"))
    assert lines[0] == "a line of tidegate.somewhere failed: TypeError"
    assert json.loads(lines[1])["msg"] == "next"


def test_an_object_of_any_kind_can_be_told():
    (line,) = lines_of(lambda: log.warning("x", extra={"path": io, "n": 2**70}))
    assert "module" in json.loads(line)["path"]


def test_request_ids_are_the_clients_where_they_are_harmless():
    ids = RequestIds()
    for header in ("a", "4bf92f35-77", "A._:/+=-9", "x" * 128):
        assert ids.of(header) == header
    made = [ids.of(h) for h in (None, "", "x" * 129, "a b", 'a"', "a\n", "ä", "a\x1b[31m")]
    assert len(set(made)) == len(made)
    assert all(re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]+", each) for each in made)
    assert RequestIds().of(None) != RequestIds().of(None)

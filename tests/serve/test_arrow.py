"""Tables of events over Arrow IPC: the same events, the same answers, and what is no such table."""

from __future__ import annotations

import contextlib
import datetime
import json
import math
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest

TYPE = "application/vnd.apache.arrow.stream"
FIELDS = ("speed", "load", "road", "wet", "driver")


def stream(*batches, schema=None):
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema or batches[0].schema) as writer:
        for batch in batches:
            writer.write_batch(batch)
    return sink.getvalue().to_pybytes()


def batch(n=1, **columns):
    """Events that are all the same but for these columns; None leaves a column out."""
    usual = {
        "session": ["ar-usual"] * n,
        "speed": [50.0] * n,
        "load": [3.0] * n,
        "road": ["A1"] * n,
        "wet": [True] * n,
        "driver": ["ann"] * n,
    }
    found = {k: v for k, v in {**usual, **columns}.items() if v is not None}
    return pa.RecordBatch.from_pydict(found)


def send(server, body):
    with contextlib.closing(server.connect()) as connection:
        # A body that is too large is answered before it is all there.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.request("POST", "/v1/models/small/events", body, {"Content-Type": TYPE})
        response = connection.getresponse()
        content, kind = response.read(), response.headers["content-type"]
    if response.status != 200:
        return response.status, json.loads(content)["error"]
    assert kind == TYPE
    with pa.ipc.open_stream(content) as reader:
        return 200, reader.read_all()


def rows(server, *batches):
    status, table = send(server, stream(*batches))
    assert status == 200, table
    return table.to_pylist()


def test_an_answer_for_each_row(server):
    status, table = send(server, stream(batch(3, session=["ar-a", "ar-b", "ar-a"])))
    assert status == 200
    assert table.schema.names == [
        *("session", "seq", "time", "model_version", "duplicate", "session_reset"),
        *("label", "probability"),
        *("error_code", "error_message", "error_field", "expected"),
    ]
    assert table.schema.field("model_version").type == pa.dictionary(pa.int32(), pa.string())
    found = table.to_pylist()
    assert [(row["session"], row["seq"]) for row in found] == [
        ("ar-a", 1),
        ("ar-b", 1),
        ("ar-a", 2),
    ]
    assert all(row["error_code"] is None and row["label"] in ("no", "yes") for row in found)
    assert all(row["model_version"] == "1" and not row["duplicate"] for row in found)


def test_the_same_answers_as_in_json_to_the_bit(server, payload):
    rng = np.random.default_rng(5)
    n = 200
    columns = {
        "speed": [None if x < -1.5 else x for x in rng.normal(size=n).tolist()],
        "load": rng.exponential(size=n).tolist(),
        "road": rng.choice(["A1", "B2", "C3", "unknown"], n).tolist(),
        "wet": [[True, False, None][x] for x in rng.integers(0, 3, n)],
        "driver": ["ann"] * n,
    }
    times = (1000.0 + np.cumsum(rng.exponential(size=n))).tolist()
    names = [f"{x}" for x in rng.integers(0, 9, n)]
    columns["speed"][:20] = [1.0] * 20  # a session's first value must be there
    lines = [
        {
            "session": f"json-{names[i]}",
            "time": times[i],
            "event": {field: columns[field][i] for field in FIELDS},
        }
        for i in range(n)
    ]
    _, answers = server.lines(lines)
    sent = pa.RecordBatch.from_pydict(
        {**columns, "session": [f"arrow-{name}" for name in names], "time": times}
    )
    found = rows(server, sent.slice(0, 50), sent.slice(50, 1), sent.slice(51))
    assert len(found) == n
    for row, answer in zip(found, answers, strict=True):
        if "error" in answer:
            assert (row["error_code"], row["label"]) == (answer["error"]["code"], None)
            continue
        said = answer["answer"]
        assert (row["label"], row["probability"]) == (said["label"], said["probabilities"]["yes"])
        assert (row["seq"], row["time"]) == (answer["seq"], answer["time"])
    assert sum("error" not in answer for answer in answers) > n // 2
    # An event that was sent one way is known when it comes the other way.
    retried = {**lines[-1], "session": f"arrow-{names[-1]}", "seq": answers[-1].get("seq")}
    assert server.lines([retried])[1][0]["duplicate"] is True


def test_numbers_and_repeats(server):
    sent = batch(3, session=["ar-seq"] * 3, seq=[1, 2, None], time=[1.0, 2.0, 3.0])
    assert [row["seq"] for row in rows(server, sent)] == [1, 2, 3]
    again = rows(server, batch(2, session=["ar-seq"] * 2, seq=[2, 3], time=[2.0, 3.0]))
    assert [(row["seq"], row["duplicate"]) for row in again] == [(2, True), (3, True)]
    [gap, late] = rows(server, batch(2, session=["ar-seq"] * 2, seq=[9, None]))
    assert (gap["error_code"], gap["error_field"], gap["expected"]) == ("seq_gap", "seq", 4)
    assert (gap["label"], gap["probability"], gap["time"]) == (None, None, None)
    assert late["error_code"] == "previous_failed"
    [first, last, over] = rows(
        server,
        batch(3, session=["ar-seq"] * 3, start=[True, False, None], end=[False, True, False]),
    )
    assert (first["seq"], last["seq"], over["error_code"]) == (1, 2, "session_ended")


def test_a_failure_holds_up_its_session_in_the_batches_that_follow(server):
    names = ["ar-fail", "ar-fine"]
    bad = batch(2, session=names, speed=[math.nan, 1.0])
    found = rows(server, bad, batch(2, session=names), batch(2, session=names))
    assert [row["error_code"] for row in found[::2]] == [
        "not_finite",
        "previous_failed",
        "previous_failed",
    ]
    assert (found[0]["error_field"], found[0]["seq"]) == ("speed", None)
    assert [row["seq"] for row in found[1::2]] == [1, 2, 3]
    assert server.get(server.path("ar-fail"))[0] == 404


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()])
def test_sessions_and_categories_of_every_kind_of_text(server, kind):
    names = pa.array(["ar-x", "ar-\u00e9", "ar-x"], kind)
    roads = pa.array(["A1", None, "B2"], kind)
    more = {"start": [True, True, False], "time": [1.0, 1.0, 2.0]}
    first = rows(server, batch(3, session=names, road=roads, **more))
    again = rows(
        server,
        batch(
            3,
            session=names.dictionary_encode(),
            road=roads.dictionary_encode(),
            **more,
        ),
    )
    assert [row["session"] for row in again] == ["ar-x", "ar-\u00e9", "ar-x"]
    assert [row["error_code"] for row in again] == [None] * 3
    assert [row["probability"] for row in again] == [row["probability"] for row in first]


def test_a_slice_of_a_table_is_its_own_rows(server):
    sent = batch(4, session=["ar-0", "ar-1", "ar-2", "ar-3"], speed=[None, 1.0, 2.0, 3.0])
    found = rows(server, sent.slice(1, 2))
    assert [row["session"] for row in found] == ["ar-1", "ar-2"]


def test_instants_and_whole_numbers(server):
    at = datetime.datetime(2024, 5, 1, 12, 0, 0, 250_000, tzinfo=datetime.UTC)
    for i, times in enumerate(
        [
            pa.array([at], pa.timestamp("us", "UTC")),
            pa.array([at], pa.timestamp("ns", "Europe/Berlin")),
            pa.array([at.timestamp()], pa.float64()),
        ]
    ):
        [row] = rows(server, batch(session=[f"ar-time-{i}"], time=times))
        assert row["time"] == at.timestamp()
    [far] = rows(server, batch(session=["ar-far"], time=pa.array([2**37], pa.timestamp("s"))))
    assert far["time"] == 2.0**37
    [big] = rows(server, batch(session=["ar-large"], load=pa.array([2**60 + 1])))
    assert big["seq"] == 1
    integers = {"speed": pa.array([5], pa.int8()), "load": pa.array([3], pa.uint64())}
    [row] = rows(server, batch(session=["ar-int"], time=pa.array([7]), **integers))
    [same] = rows(server, batch(session=["ar-float"], time=[7.0], speed=[5.0]))
    assert (row["time"], row["probability"]) == (7.0, same["probability"])


def test_more_rows_than_a_block_takes(server):
    n = 20_000
    names = [f"ar-many-{i % 7}" for i in range(n)]
    found = rows(server, batch(n, session=names))
    assert [row["seq"] for row in found] == [1 + i // 7 for i in range(n)]


def test_a_stream_without_rows(server):
    assert rows(server, batch(0)) == []
    assert send(server, stream(schema=batch().schema))[1].num_rows == 0


NAN = math.nan

REFUSED = {
    "nothing": (b"", "bad_arrow", "body"),
    "json": (b'{"session": "ar-bad"}', "bad_arrow", "body"),
    "cut": (stream(batch(500))[:-2000], "bad_arrow", "body"),
    "no sessions": (stream(batch(session=None)), "missing_column", "session"),
    "null session": (stream(batch(2, session=["ar-bad", None])), "missing_column", "session"),
    "numbers as sessions": (stream(batch(session=[7])), "wrong_type", "session"),
    "empty session": (stream(batch(2, session=["ar-bad", ""])), "bad_session_id", "session"),
    "long session": (stream(batch(session=["x" * 513])), "bad_session_id", "session"),
    "unknown column": (stream(batch(wings=[2])), "unknown_column", "wings"),
    "a column twice": (
        stream(
            pa.RecordBatch.from_arrays(
                [pa.array(["ar-bad"]), pa.array([1.0]), pa.array([1.0])],
                names=["session", "speed", "speed"],
            )
        ),
        "unknown_column",
        "body",
    ),
    "text for a number": (stream(batch(speed=["5"])), "wrong_type", "speed"),
    "a number for a truth": (stream(batch(wet=[1])), "wrong_type", "wet"),
    "a float for a category": (stream(batch(road=[1.5])), "wrong_type", "road"),
    "numbers in a dictionary": (
        stream(batch(road=pa.array([1]).dictionary_encode())),
        "wrong_type",
        "road",
    ),
    "text for seq": (stream(batch(seq=["1"])), "wrong_type", "seq"),
    "seq 0": (stream(batch(2, seq=[1, 0])), "wrong_type", "seq"),
    "text for time": (stream(batch(time=["noon"])), "wrong_type", "time"),
    "NaN for time": (stream(batch(time=[NAN])), "not_finite", "time"),
    "infinite time": (stream(batch(time=[math.inf])), "not_finite", "time"),
    "a year beyond ours": (stream(batch(time=[1e15])), "wrong_type", "time"),
    "a number for start": (stream(batch(start=[1])), "wrong_type", "start"),
    "too large a seq": (
        stream(batch(seq=pa.array([2**63], pa.uint64()))),
        "wrong_type",
        "seq",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_no_such_table_is_refused_whole(server, what):
    body, code, field = REFUSED[what]
    status, error = send(server, body)
    assert (status, error["code"], error["field"]) == (400, code, field)
    assert error["hint"]
    assert server.get(server.path("ar-bad"))[0] == 404
    assert server.get(server.path("ar-usual"))[0] == 404


def test_a_field_that_may_be_missing_may_be_left_out(server, payload):
    [row] = rows(server, batch(session=["ar-left"], load=None, wet=None, time=[1.0]))
    event = payload(time=1.0)
    del event["event"]["load"], event["event"]["wet"]
    _, answer = server.post("ar-left-json", event)
    assert row["probability"] == answer["answer"]["probabilities"]["yes"]
    # The constant must come with the first event, and need not come again.
    [refused] = rows(server, batch(session=["ar-left-2"], driver=None))
    assert (refused["error_code"], refused["error_field"]) == ("missing_field", "driver")
    [row] = rows(server, batch(session=["ar-left"], driver=None))
    assert row["seq"] == 2


def test_a_body_beyond_its_bound_is_refused(server):
    n = 30_000
    status, error = send(server, stream(batch(n)))
    assert (status, error["code"]) == (413, "body_too_large")
    assert server.get(server.path("ar-usual"))[0] == 404


def test_without_its_library_the_type_is_refused():
    code = """
import sys
sys.modules["pyarrow"] = None
from tidegate.errors import InputError
from tidegate.serve.codes import status_of
try:
    import tidegate.serve.arrow
except InputError as error:
    print(error.code, status_of(error))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "arrow_missing 415\n"

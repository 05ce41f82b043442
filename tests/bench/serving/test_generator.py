"""The generator sees right answers, and every kind of wrong one."""

from __future__ import annotations

import http.client
import json
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tidegate.bench.serving import arrow, generator, model
from tidegate.errors import InputError, TidegateError

LOADS: dict[str, tuple[str, dict[str, Any]]] = {
    "http": ("http", {"connections": 8}),
    "http, pipelined": ("http", {"connections": 2, "depth": 4}),
    "http, one path": ("http", {"connections": 2, "path": "/predict"}),
    "websocket": ("websocket", {"connections": 8}),
    "websocket of 16": ("websocket", {"connections": 4, "events": 16, "depth": 2}),
    "ndjson": ("ndjson", {"connections": 2, "events": 300, "fill": True}),
    "ndjson, some more active": ("ndjson", {"connections": 2, "events": 30, "zipf": 1}),
    "ndjson, streamed": ("ndjson", {"connections": 2, "events": 50, "depth": 4, "stream": True}),
}
SETTINGS: dict[str, Any] = {"model": model.NAME, "sessions": 500}


@pytest.mark.parametrize("name", LOADS)
def test_an_echo_has_no_errors(name, load, echo) -> None:
    mode, options = LOADS[name]
    report = load.load(mode, echo(), seconds=0.2, **SETTINGS, **options)
    assert report.errors == 0, report.first_error
    assert report.lost_connections == 0
    assert report.events == pytest.approx(report.events_per_s * 0.2)
    assert 0 < report.p50_ms <= report.p99_ms <= report.p999_ms <= report.max_ms
    assert report.bytes_received > 20 * report.events
    assert report.fill_events >= (500 if "fill" in options else 0)


@pytest.mark.parametrize("name", LOADS)
def test_wrong_answers_are_counted(name, load, echo) -> None:
    mode, options = LOADS[name]
    report = load.load(mode, echo("--wrong", 3), seconds=0.2, **SETTINGS, **options)
    assert report.error_kinds.keys() == {"wrong_seq"}
    assert report.first_error.startswith("wrong_seq: {")
    assert report.errors > 0


def test_processes_are_watched(load, gate) -> None:
    report = load.load("http", gate.port, seconds=0.5, watch=gate.pids(), **SETTINGS)
    assert 0 < report.server_cpu_s < 5
    assert 20 < report.rss_mb < 2000


# ---- our server ----


@pytest.mark.parametrize(
    ("mode", "options"),
    [
        ("http", {"connections": 8, "prefix": "a"}),
        ("http", {"connections": 8, "prefix": "b", "rate": 300}),
        ("ndjson", {"connections": 2, "events": 200, "fill": True, "prefix": "c"}),
        ("ndjson", {"connections": 2, "events": 50, "depth": 4, "stream": True, "prefix": "d"}),
        ("websocket", {"connections": 8, "prefix": "e"}),
        ("websocket", {"connections": 4, "events": 16, "depth": 2, "prefix": "f"}),
        ("arrow", {"connections": 2, "events": 100, "prefix": "g"}),
        # Connections share sessions, of which some are nearly always on the way.
        ("http", {"connections": 8, "zipf": 1.5, "prefix": "h"}),
        ("http", {"connections": 8, "zipf": 1.5, "rate": 300, "prefix": "i"}),
        ("ndjson", {"connections": 2, "events": 50, "zipf": 1, "fill": True, "prefix": "j"}),
        ("ndjson", {"connections": 2, "events": 5, "zipf": 1, "stream": True, "prefix": "k"}),
        ("websocket", {"connections": 4, "events": 4, "zipf": 1, "prefix": "l"}),
        ("arrow", {"connections": 2, "events": 100, "zipf": 1, "prefix": "m"}),
    ],
)
def test_a_server_is_loaded_and_has_every_event(mode, options, load, gate, tmp_path) -> None:
    settings = {**SETTINGS, **options, "sessions": 40}
    if mode == "arrow":
        settings["template"] = tmp_path / "template"
        arrow.write_template(settings["template"], options["events"])
    report = load.load(mode, gate.port, seconds=0.5, **settings)
    assert report.errors == 0, report.first_error
    connection = http.client.HTTPConnection("127.0.0.1", gate.port, timeout=20)
    applied = 0
    for session in range(40):
        path = f"/v1/models/{model.NAME}/sessions/{options['prefix']}{session:08d}"
        connection.request("GET", path)
        response = connection.getresponse()
        found = json.loads(response.read())
        applied += found["seq"] if response.status == 200 else 0
    connection.close()
    assert applied > 0
    assert applied >= report.events + report.fill_events  # and those just before and after


def test_errors_of_the_server_are_counted_by_their_code(load, gate) -> None:
    report = load.load("http", gate.port, seconds=0.2, **{**SETTINGS, "model": "another"})
    assert report.error_kinds.keys() == {"model_unknown"}
    assert report.events == 0
    assert report.errors > 0


def test_sessions_that_went_on_are_errors(load, gate) -> None:
    settings = {**SETTINGS, "sessions": 10, "connections": 2, "prefix": "z"}
    assert load.load("http", gate.port, seconds=0.3, **settings).errors == 0
    again = load.load("http", gate.port, seconds=0.3, **{**settings, "seed": 2})
    assert again.error_kinds.keys() <= {"payload_conflict", "seq_stale"}
    assert again.errors > 0


def test_a_load_goes_on_where_another_ended(load, gate, tmp_path) -> None:
    seqs = tmp_path / "seqs"
    settings = {**SETTINGS, "sessions": 40, "connections": 2, "prefix": "y", "seqs": seqs}
    assert load.load("ndjson", gate.port, seconds=0.1, events=50, fill=True, **settings).errors == 0
    first = np.fromfile(seqs, np.uint32)
    assert len(first) == 40
    assert first.min() > 1
    again = load.load("http", gate.port, seconds=0.3, zipf=1, **settings)
    assert again.errors == 0, again.first_error
    assert np.sum(np.fromfile(seqs, np.uint32) - first) >= again.events > 0
    with pytest.raises(TidegateError, match="has not the seqs of 41"):
        load.load("http", gate.port, seconds=0.1, **{**settings, "sessions": 41})


# ---- which sessions ----


@pytest.mark.parametrize(("exponent", "sessions"), [(0.5, 60), (1.0, 60), (1.0, 1000), (2.5, 60)])
def test_activity_is_zipfs(exponent, sessions, load, serve) -> None:
    drawn: Counter[bytes] = Counter()

    def answer(_: object, body: bytes) -> bytes:
        drawn.update(re.findall(rb"s\d{8}", body))
        return body

    options = {"sessions": sessions, "connections": 2, "events": 500, "zipf": exponent}
    report = load.load("ndjson", serve(answer), seconds=1, **{**SETTINGS, **options})
    assert report.errors == 0, report.first_error
    weights = np.arange(1, sessions + 1.0) ** -exponent
    total = sum(drawn.values())
    wanted = total * weights / weights.sum()
    found = np.zeros(sessions)
    found[: len(drawn)] = sorted(drawn.values(), reverse=True)
    # Those that are too rare to be told apart are one.
    rare = wanted < 20
    wanted = np.append(wanted[~rare], wanted[rare].sum() or 1)
    found = np.append(found[~rare], found[rare].sum() if rare.any() else 1)
    assert total > 5000
    assert np.sum((found - wanted) ** 2 / wanted) < len(wanted) + 6 * np.sqrt(2 * len(wanted))


def test_active_sessions_are_no_neighbours(load, serve) -> None:
    drawn: Counter[int] = Counter()

    def answer(_: object, body: bytes) -> bytes:
        drawn.update(map(int, re.findall(rb"s(\d{8})", body)))
        return body

    options = {"sessions": 100_000, "events": 1000, "zipf": 1.2}
    load.load("ndjson", serve(answer), seconds=0.5, **{**SETTINGS, **options})
    assert max(drawn) < 100_000
    hottest = sorted(session for session, _ in drawn.most_common(20))
    assert np.diff(hottest).min() > 1000


# ---- servers that do wrong ----


@pytest.fixture
def serve() -> Iterator[Callable[[Callable[[BaseHTTPRequestHandler, bytes], bytes]], int]]:
    """Start an HTTP server whose answers a function makes; returns its port."""
    servers = []

    def start(answer: Callable[[BaseHTTPRequestHandler, bytes], bytes]) -> int:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                content = answer(self, body)
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return int(server.server_port)

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_another_session_is_an_error(load, serve) -> None:
    def answer(_: object, body: bytes) -> bytes:
        return json.dumps({"session": "s00000001", "seq": json.loads(body)["seq"]}).encode()

    # One answer is right: the session that the server always names.
    report = load.load("http", serve(answer), seconds=0.2, model="m", sessions=2, connections=2)
    assert report.error_kinds.keys() == {"wrong_session"}
    assert report.errors > 0
    assert report.events > 0


def test_a_stall_delays_all_that_arrive_meanwhile(load, serve) -> None:
    calls = []

    def answer(_: object, body: bytes) -> bytes:
        calls.append(None)
        if len(calls) == 20:
            time.sleep(0.4)
        return body

    report = load.load("http", serve(answer), seconds=1.0, rate=100, **SETTINGS)
    assert report.errors == 0
    assert report.p90_ms > 100  # a closed loop would have had one slow request of a hundred


def test_requests_that_wait_for_a_connection_are_measured_too(load, serve) -> None:
    def answer(_: object, body: bytes) -> bytes:
        time.sleep(0.1)
        return body

    # Ten a second are answered; fifty arrive, of which the last waits for four seconds.
    report = load.load("http", serve(answer), seconds=1.0, rate=50, **SETTINGS)
    assert report.errors == 0
    assert report.events <= 10
    assert report.max_ms > 2000


@pytest.mark.parametrize("options", [{}, {"connections": 4, "zipf": 2}])
def test_a_server_that_hangs_up_has_failed(options, load, serve) -> None:
    def hang_up(handler: BaseHTTPRequestHandler, body: bytes) -> bytes:
        handler.close_connection = True
        return body

    with pytest.raises(TidegateError) as failed:
        load.load("http", serve(hang_up), seconds=1.0, **SETTINGS, **options)
    assert failed.value.code == "load_failed"


# ---- Arrow ----


def answers(body: bytes, **changed: Any) -> bytes:
    """What a server answers to an Arrow stream."""
    asked = pa.ipc.open_stream(body).read_all()
    rows = asked.num_rows
    columns = {
        "session": asked["session"].combine_chunks(),
        "seq": asked["seq"].combine_chunks(),
        "time": pa.array([1.5] * rows),
        "model_version": pa.array(["1"] * rows).dictionary_encode(),
        "duplicate": pa.array([False] * rows),
        "session_reset": pa.array([False] * rows),
        "value": asked["x0"].combine_chunks(),
        "error_code": pa.array([None] * rows, pa.string()),
        "error_message": pa.array([None] * rows, pa.string()),
        "error_field": pa.array([None] * rows, pa.string()),
        "expected": pa.array([None] * rows, pa.int64()),
        **{name: change(asked) for name, change in changed.items()},
    }
    batch = pa.record_batch(columns)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch.slice(0, rows // 2))
        writer.write_batch(batch.slice(rows // 2))
    return sink.getvalue().to_pybytes()


@pytest.fixture
def arrow_load(load, serve, tmp_path):
    arrow.write_template(tmp_path / "template", 100)
    options = {"template": tmp_path / "template", "events": 100, "connections": 2}

    def run(**changed: Any) -> generator.Report:
        port = serve(lambda _, body: answers(body, **changed))
        return load.load("arrow", port, seconds=0.3, **SETTINGS, **options)

    return run


def test_arrow_requests_are_what_pyarrow_reads(load, serve, tmp_path) -> None:
    arrow.write_template(tmp_path / "template", 100)
    bodies: list[bytes] = []

    def answer(_: object, body: bytes) -> bytes:
        bodies.append(body)
        return answers(body)

    options = {"template": tmp_path / "template", "events": 100, "fill": True}
    report = load.load("arrow", serve(answer), seconds=0.2, **SETTINGS, **options)
    assert report.errors == 0, report.first_error
    first, second, *_ = (pa.ipc.open_stream(body).read_all() for body in bodies)
    assert first["session"].to_pylist() == [f"s{i:08d}" for i in range(100)]
    assert second["session"].to_pylist()[0] == "s00000100"
    assert set(first["seq"].to_pylist()) == {1}
    assert first.schema.names == ["session", "seq", *model.FIELDS]
    assert first["x0"] != second["x0"]
    assert abs(pa.compute.mean(first["x3"]).as_py()) < 1


def test_right_arrow_answers_are_no_errors(arrow_load) -> None:
    report = arrow_load()
    assert report.errors == 0, report.first_error
    assert report.events > 0


@pytest.mark.parametrize(
    ("kind", "changed"),
    [
        ("wrong_seq", {"seq": lambda asked: pa.compute.add(asked["seq"], 1).combine_chunks()}),
        ("wrong_session", {"session": lambda asked: pa.array(["t00000000"] * asked.num_rows)}),
        (
            "seq_gap",
            {"error_code": lambda asked: pa.array([None, "seq_gap"] * (asked.num_rows // 2))},
        ),
        ("bad_stream", {"value": lambda asked: pa.array([[1.0]] * asked.num_rows)}),
    ],
)
def test_wrong_arrow_answers_are_counted(kind, changed, arrow_load) -> None:
    report = arrow_load(**changed)
    assert report.error_kinds.keys() == {kind}
    assert report.errors > 0


def test_rows_that_are_missing_are_errors(load, serve, tmp_path) -> None:
    arrow.write_template(tmp_path / "template", 100)

    def half(_: object, body: bytes) -> bytes:
        asked = pa.ipc.open_stream(body).read_all().combine_chunks().to_batches()[0]
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, asked.schema) as writer:
            writer.write_batch(asked.slice(0, 50))
        return answers(sink.getvalue().to_pybytes())

    options = {"template": tmp_path / "template", "events": 100}
    report = load.load("arrow", serve(half), seconds=0.2, **SETTINGS, **options)
    assert report.error_kinds.keys() == {"no_answer"}


# ---- refusals ----


def test_a_port_where_nobody_listens(load) -> None:
    with pytest.raises(TidegateError, match="cannot connect") as failed:
        load.load("http", 1, seconds=0.1, model="m")
    assert failed.value.code == "load_failed"


@pytest.mark.parametrize(
    "options",
    [
        {"connections": 0},
        {"sessions": 4, "connections": 8},
        {"nothing": 1},
        {"zipf": -1},
        {"zipf": 1, "depth": 2},
    ],
)
def test_bad_options_are_refused(options, load, echo) -> None:
    with pytest.raises(TidegateError):
        load.load("http", echo(), seconds=0.1, model="m", **options)


def test_the_disk_is_timed(load, tmp_path) -> None:
    p50, p99 = load.sync(tmp_path / "probe", 0.1)
    assert 0 < p50 <= p99
    p50, p99 = load.sync(tmp_path / "probe", 0.1, 50)
    assert 0 < p50 <= p99
    assert not (tmp_path / "probe").exists()


def test_sources_that_are_missing_or_wrong(tmp_path) -> None:
    with pytest.raises(InputError) as refused:
        generator.build(tmp_path, tmp_path / "out")
    assert refused.value.code == "missing_sources"
    (tmp_path / "main.c").write_text("int main(void) { return nothing; }")
    with pytest.raises(InputError) as refused:
        generator.build(tmp_path, tmp_path / "out")
    assert refused.value.code == "cannot_compile"


def test_a_machine_without_a_compiler(tmp_path, monkeypatch) -> None:
    (tmp_path / "main.c").write_text("int main(void) { return 0; }")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="no C compiler") as refused:
        generator.build(tmp_path, tmp_path / "out")
    assert refused.value.code == "missing_compiler"


def test_the_program_is_compiled_when_its_sources_changed(tmp_path) -> None:
    source = tmp_path / "main.c"
    source.write_text("int main(void) { return 0; }")
    program = generator.build(tmp_path, tmp_path / "out").path
    first = program.stat().st_mtime_ns
    assert generator.build(tmp_path, tmp_path / "out").path.stat().st_mtime_ns == first
    source.write_text("int main(void) { return 1; }")
    assert generator.build(tmp_path, tmp_path / "out").path.stat().st_mtime_ns > first

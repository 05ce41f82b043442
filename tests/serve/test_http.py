"""The routes, over real sockets, of a real server."""

from __future__ import annotations

import contextlib
import json
import socket
from urllib.parse import quote

import pytest


def error_of(answer):
    return answer["error"]["code"]


def test_a_session_over_http(server, payload):
    status, first = server.post("life", payload(50.0, time=100.0))
    assert status == 200
    assert list(first) == ["session", "seq", "time", "model_version", "answer"]
    assert (first["session"], first["seq"], first["time"]) == ("life", 1, 100.0)
    assert first["model_version"] == "1"
    assert first["answer"]["label"] in ("no", "yes")
    status, seen = server.get(server.path("life"))
    assert (status, seen["status"], seen["seq"], seen["time"]) == (200, "live", 1, 100.0)
    status, body, _ = server.request("DELETE", server.path("life"))
    assert (status, json.loads(body)["status"]) == (200, "deleted")
    assert server.request("DELETE", server.path("life"))[0] == 200
    broken = server.counter("tidegate_continuity_errors_total")
    assert server.get(server.path("life"))[0] == 410
    assert server.counter("tidegate_continuity_errors_total") == broken


def test_each_verdict_has_its_status_and_its_counter(server, payload):
    def post(**members):
        return server.post("rules", payload(members.pop("speed", 1.0), time=1.0, **members))

    for seq in range(1, 12):
        assert post(seq=seq)[0] == 200
    cases = [
        ({"seq": 11}, 200, None, {}),
        ({"seq": 11, "speed": 2.0}, 409, "payload_conflict", {"kind": "conflict"}),
        ({"seq": 2}, 409, "seq_stale", {"kind": "stale"}),
        ({"seq": 14}, 409, "seq_gap", {"kind": "gap"}),
        ({}, 200, None, {}),
        ({"start": True}, 200, None, {"kind": "start_on_live"}),
        ({"seq": 2, "end": True}, 200, None, {}),
        ({"seq": 3}, 410, "session_ended", {"kind": "ended"}),
        ({"start": True}, 200, None, {"kind": "start_on_tombstone"}),
    ]
    for members, status, code, counted in cases:
        before = server.counter("tidegate_continuity_errors_total", **counted)
        found, answer = post(**members)
        assert (found, answer.get("error", {}).get("code")) == (status, code)
        if code in ("payload_conflict", "seq_stale", "seq_gap"):
            assert answer["error"]["expected"] == 12
        after = server.counter("tidegate_continuity_errors_total", **counted)
        assert after - before == bool(counted)
    assert post(seq=1)[1]["duplicate"] is True
    server.request("DELETE", server.path("rules"))
    status, answer = post(seq=2)
    assert (status, error_of(answer)) == (410, "session_deleted")
    assert server.post("rules-unknown", payload(seq=2))[1]["error"]["expected"] == 1


def test_a_duplicate_is_the_same_bytes(server, payload):
    body = json.dumps(payload(12.5, seq=1, time=7.0)).encode()
    path = server.path("twice") + "/events"
    _, first, _ = server.request("POST", path, body)
    _, again, _ = server.request("POST", path, body)
    assert again == first[:-1] + b',"duplicate":true}'


def test_a_list_answers_each_in_order(server, payload):
    status, answers = server.post(
        "list", [payload(seq=1), payload("fast", seq=2), payload(seq=3), payload(), 7]
    )
    assert status == 200
    assert answers[0]["seq"] == 1
    assert [error_of(answer) for answer in answers[1:]] == [
        "wrong_type",
        "seq_gap",
        "previous_failed",
        "not_an_object",
    ]
    assert answers[1]["error"]["field"] == "speed"
    assert server.get(server.path("list"))[1]["seq"] == 1
    assert server.post("list", []) == (200, [])


def test_a_nan_in_a_list_fails_its_event_alone(server, payload):
    good, bad = payload(50.0), payload(float("nan"))
    status, answers = server.post("nan", [good, {**bad, "seq": 2}, payload(seq=2)])
    assert (status, answers[0]["seq"]) == (200, 1)
    assert answers[1]["error"]["message"] == "NaN is not a finite number"
    assert (error_of(answers[1]), answers[1]["error"]["field"]) == ("not_finite", "speed")
    assert error_of(answers[2]) == "seq_gap"
    # In lines other sessions go on.
    lines = [{**bad, "session": "nan", "seq": 2}, payload(session="nan"), payload(session="fine")]
    status, answers = server.lines(lines)
    assert (status, [answer["line"] for answer in answers[:2]]) == (200, [1, 2])
    assert [error_of(answer) for answer in answers[:2]] == ["not_finite", "previous_failed"]
    assert answers[2]["seq"] == 1
    assert server.get(server.path("nan"))[1]["seq"] == 1


def test_a_list_longer_than_a_batch(server, payload):
    status, answers = server.post("long", [payload(float(i)) for i in range(1200)])
    assert (status, [answer["seq"] for answer in answers]) == (200, list(range(1, 1201)))


def test_lines_answer_in_order_with_their_numbers(server, payload):
    good = [payload(float(i), session=f"line-{i % 3}", seq=1 + i // 3) for i in range(6)]
    lines = [json.dumps(event).encode() for event in good]
    lines.insert(1, b"{not json")
    lines.insert(3, b"")
    lines.insert(4, json.dumps(payload()).encode())
    lines.insert(5, json.dumps(payload(session="line-0", seq=0)).encode())
    lines.append(json.dumps(payload(session="line-0", seq=3)).encode())
    status, answers = server.lines(b"\n".join(lines))
    assert status == 200
    shown = [
        (answer["line"], error_of(answer), answer["error"].get("field"))
        if "error" in answer
        else (answer["session"], answer["seq"])
        for answer in answers
    ]
    assert shown == [
        ("line-0", 1),
        (2, "bad_json", None),
        ("line-1", 1),
        (5, "missing_member", "session"),
        (6, "wrong_type", "seq"),
        ("line-2", 1),
        (8, "seq_gap", "seq"),
        ("line-1", 2),
        ("line-2", 2),
        (11, "seq_gap", "seq"),
    ]
    assert server.lines(b"\n \n") == (200, [])


def test_many_lines_are_a_bulk(server, payload):
    before = server.counter("tidegate_batch_events_count")
    events = [payload(float(i), session=f"bulk-{i % 400}") for i in range(2000)]
    status, answers = server.lines(events)
    assert status == 200
    assert [(a["session"], a["seq"]) for a in answers] == [
        (f"bulk-{i % 400}", 1 + i // 400) for i in range(2000)
    ]
    assert server.counter("tidegate_batch_events_count") - before <= 2000 // 50


@pytest.mark.parametrize(
    "session", ["a/b", "a%2Fb", "a//b/events", "\U0001f30a wave", "x" * 512, "a?b#c;d=e&f+g", ".."]
)
def test_an_id_is_what_stands_between(server, payload, session):
    status, answer = server.post(session, payload())
    assert (status, answer["session"], answer["seq"]) == (200, session, 1)
    assert server.get(server.path(session))[1]["session"] == session
    # The body route means the same session.
    assert server.lines([payload(session=session, seq=2)])[1][0]["seq"] == 2
    assert server.request("DELETE", server.path(session))[0] == 200


def test_a_slash_may_stand_for_itself(server, payload):
    path = "/v1/models/small/sessions/plain/slash/events"
    assert server.request("POST", path, json.dumps(payload()).encode())[0] == 200
    assert server.get(server.path("plain/slash"))[0] == 200


@pytest.mark.parametrize(
    "raw", ["", "x" * 513, "x" * 10_240, "%00", "a%FFb", quote("\ufffd"), quote("\u00e9" * 257)]
)
def test_an_id_that_is_refused(server, payload, raw):
    body = json.dumps(payload()).encode()
    path = f"/v1/models/small/sessions/{raw}"
    for method, target in (("POST", path + "/events"), ("GET", path), ("DELETE", path)):
        status, answer, _ = server.request(method, target, body if method == "POST" else None)
        assert (status, error_of(json.loads(answer))) == (400, "bad_session_id")
    assert len(answer) < 400


def test_an_id_that_a_path_cannot_carry_goes_into_the_body(server, payload):
    answers = server.lines(
        [payload(session="nul\0"), payload(session=""), payload(session="y" * 600)]
    )[1]
    assert answers[0]["session"] == "nul\0"
    assert [error_of(answer) for answer in answers[1:]] == ["missing_member", "bad_session_id"]


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        (b"", "bad_json", None),
        (b'{"event": {"speed": NaN}}', "not_finite", "speed"),
        (b'{"event": {"driver": "ann", "speed": 1e999}}', "not_finite", "speed"),
        (b"12", "not_an_object", None),
        (b'{"event": {}, "sequence": 1}', "unknown_member", "sequence"),
        (b'{"event": {"speed": 1}, "seq": "1"}', "wrong_type", "seq"),
        (b'{"event": {"speed": 1}, "time": "noon"}', "wrong_type", "time"),
        (b'{"event": {"speed": 1}, "session": "other"}', "wrong_session", "session"),
        (b'{"event": {"speed": "fast", "driver": "ann"}}', "wrong_type", "speed"),
        (b'{"event": {"wings": 2}}', "unknown_field", "wings"),
        (b'{"event": {"speed": 1}}', "missing_field", "driver"),
    ],
)
def test_bad_bodies_are_refused_by_name(server, body, code, field):
    before = server.counter("tidegate_events_total", outcome="bad_input")
    status, answer = server.post("bad", body)
    assert (status, error_of(answer), answer["error"].get("field")) == (400, code, field)
    assert answer["error"]["hint"]
    assert server.get(server.path("bad"))[0] == 404
    assert server.counter("tidegate_events_total", outcome="bad_input") == before + 1


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/", 404, "route_unknown"),
        ("GET", "/v1/models/none", 404, "model_unknown"),
        ("POST", "/v1/models/none/events", 404, "model_unknown"),
        ("GET", "/v1/models/small/weights", 404, "route_unknown"),
        ("POST", "/v1/models/small/sessions/s", 404, "route_unknown"),
        ("GET", "/v1/models/small/events", 405, "method_not_allowed"),
        ("PUT", "/v1/models/small/sessions/s", 405, "method_not_allowed"),
        ("DELETE", "/v1/models", 405, "method_not_allowed"),
        ("POST", "/healthz", 405, "method_not_allowed"),
        ("GET", "/v1/models/small/sessions/nobody", 404, "session_unknown"),
        ("DELETE", "/v1/models/small/sessions/nobody", 404, "session_unknown"),
    ],
)
def test_what_is_not_there(server, method, path, status, code):
    before = server.counter("tidegate_requests_refused_total", code=code)
    found, body, headers = server.request(method, path, b"{}" if method == "POST" else None)
    assert (found, error_of(json.loads(body))) == (status, code)
    assert server.counter("tidegate_requests_refused_total", code=code) == before + 1
    assert headers["content-type"] == "application/json"


def test_models_are_described(server):
    status, answer = server.get("/v1/models")
    assert status == 200
    [model] = answer["models"]
    assert server.get("/v1/models/small") == (200, model)
    assert (model["name"], model["version"], len(model["fingerprint"])) == ("small", "1", 64)
    assert model["task"]["classes"] == ["no", "yes"]
    assert model["fields"]["driver"]["constant"] is True
    assert model["kept_answers"] == 8


def test_health(server):
    assert server.get("/healthz") == (200, {"status": "alive"})
    assert server.get("/readyz") == (200, {"status": "ready"})
    assert server.counter("tidegate_ready") == 1
    assert server.counter("tidegate_build_info", model="small", model_version="1") == 1
    assert server.request("HEAD", "/healthz")[:2] == (200, b"")


def test_a_method_that_is_refused_is_told_which_are_not(server):
    _, _, headers = server.request("PUT", server.path("s"))
    assert headers["allow"] == "GET, DELETE, POST"


HUGE = 100_000_000


@pytest.mark.parametrize(
    "head",
    [
        f"Content-Length: {HUGE}",
        f"Content-Length: {HUGE}\r\nExpect: 100-continue",
    ],
)
@pytest.mark.parametrize(
    ("path", "code"),
    [("sessions/huge/events", b"body_too_large"), ("events", b"line_too_long")],
)
def test_a_huge_body_is_refused_without_reading_on(server, head, path, code):
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as client:
        client.sendall(
            f"POST /v1/models/small/{path} HTTP/1.1\r\nHost: x\r\n{head}\r\n\r\n".encode()
        )
        chunk = b" " * 65536
        sent = 0
        try:
            if "Expect" in head and path == "events":  # it is refused for what comes
                assert client.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
            while sent < HUGE and ("Expect" not in head or path == "events"):
                sent += client.send(chunk)
        except OSError:  # the server has closed the connection
            pass
        answer = client.recv(65536)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert code in answer
    assert sent < 20_000_000  # what sockets buffer


def test_a_body_at_the_limit_is_taken(server, payload):
    body = json.dumps(payload()).encode()
    status, _ = server.post("limit", body + b" " * (1_000_000 - len(body)))
    assert status == 200
    status, answer = server.post("limit", body + b" " * (1_000_001 - len(body)))
    assert (status, error_of(answer)) == (413, "body_too_large")
    assert server.counter("tidegate_requests_refused_total", code="body_too_large") >= 1


def test_a_request_is_refused_whole_or_its_events_are(server, payload):
    before = server.counter("tidegate_requests_refused_total")
    assert server.post("whole", b"[{}")[0] == 400
    assert server.counter("tidegate_requests_refused_total") == before + 1
    assert server.counter("tidegate_requests_refused_total", code="bad_json") >= 1
    assert server.post("whole", payload(seq=2))[0] == 409
    assert server.post("whole", payload("fast"))[0] == 400
    assert server.lines(b"{")[0] == 200
    assert server.counter("tidegate_requests_refused_total") == before + 1


@pytest.mark.parametrize("more", ["", "Content-Length: 5\r\n"])
def test_a_chunked_body_is_refused_whole(server, payload, more):
    """One that is cut short could not be told from a whole one."""
    line = json.dumps(payload()).encode()
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as client:
        head = f"POST {server.path('chunked')}/events HTTP/1.1\r\nHost: x\r\n{more}"
        client.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
        with contextlib.suppress(OSError):  # it may be refused by then
            client.sendall(f"{len(line):x}\r\n".encode() + line + b"\r\n")
            client.shutdown(socket.SHUT_WR)
        answer = client.recv(65536)
    assert answer.split()[1] in (b"411", b"400")
    assert more or b"length_required" in answer
    assert server.get(server.path("chunked"))[0] == 404


def test_too_many_events_are_refused_before_any_is_applied(server):
    many = 100_001
    status, answer = server.post("many", b"[" + b"1," * many + b"1]")
    assert (status, error_of(answer)) == (413, "too_many_events")
    assert server.get(server.path("many"))[0] == 404


def test_a_client_that_leaves_is_no_error(server, payload):
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as client:
        client.sendall(
            b"POST /v1/models/small/events HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{"
        )
    assert server.post("still", payload())[0] == 200


def test_one_connection_carries_many_requests(server, payload):
    connection = server.connect()
    body = json.dumps(payload())
    for seq in range(1, 6):
        connection.request("POST", server.path("kept") + "/events", body)
        assert json.loads(connection.getresponse().read())["seq"] == seq
    connection.close()

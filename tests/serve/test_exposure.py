"""TLS and keys, or this machine alone: what is refused before anything opens; real HTTPS."""

from __future__ import annotations

import datetime
import http.client
import json
import os
import signal
import ssl
import subprocess

import pytest
import trustme

from tidegate.errors import InputError
from tidegate.serve.auth import add_key
from tidegate.serve.config import ServeSettings
from tidegate.serve.exposure import check_certificate, check_exposure


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture(scope="module")
def make_cert(authority, tmp_path_factory):
    def make(**settings):
        issued = authority.issue_cert("localhost", "127.0.0.1", **settings)
        folder = tmp_path_factory.mktemp("tls")
        cert, key = folder / "cert.pem", folder / "key.pem"
        for part in issued.cert_chain_pems:
            part.write_to_path(cert, append=True)
        issued.private_key_pem.write_to_path(key)
        return cert, key

    return make


@pytest.mark.parametrize(
    ("settings", "loopback", "missing"),
    [
        ({}, True, None),
        ({}, False, ["--tls-cert", "--api-keys", "--insecure"]),
        ({"api_keys": "k"}, False, ["--tls-cert", "--insecure"]),
        ({"tls_cert": "c", "tls_key": "k"}, False, ["--api-keys", "--insecure"]),
        ({"tls_cert": "c", "tls_key": "k", "api_keys": "k"}, False, None),
    ],
)
def test_beyond_this_machine_both_are_needed(settings, loopback, missing):
    if missing is None:
        assert check_exposure(ServeSettings(store="s", **settings), loopback=loopback) is None
        return
    with pytest.raises(InputError) as refused:
        check_exposure(ServeSettings(store="s", **settings), loopback=loopback)
    assert (refused.value.code, refused.value.field) == ("exposed", "host")
    for flag in ("--tls-cert", "--api-keys", "--insecure"):
        assert (flag in refused.value.hint) == (flag in missing)
    meant = ServeSettings(store="s", insecure=True, **settings)
    assert "other machines" in check_exposure(meant, loopback=loopback)


def test_a_good_certificate_tells_when_it_ends(make_cert):
    end = datetime.datetime(2031, 5, 6, tzinfo=datetime.UTC)
    assert check_certificate(*make_cert(not_after=end)) == end.timestamp()


def test_a_certificate_that_signed_itself_will_do(tmp_path):
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost"]
    subprocess.run([*command, "-keyout", key, "-out", cert], check=True, capture_output=True)
    assert check_certificate(cert, key) > 0


def test_certificates_that_clients_would_refuse_are(make_cert, tmp_path):
    cert, key = make_cert()
    _, other_key = make_cert()
    now = datetime.datetime.now(datetime.UTC)
    day = datetime.timedelta(days=1)
    past = make_cert(not_before=now - 2 * day, not_after=now - day)
    future = make_cert(not_before=now + day, not_after=now + 2 * day)
    text = tmp_path / "text"
    text.write_text("not PEM")
    secret = tmp_path / "secret.pem"
    command = ["openssl", "pkcs8", "-topk8", "-in", key, "-passout", "pass:x", "-out", secret]
    subprocess.run(command, check=True, capture_output=True)
    for pair, code, field in [
        ((tmp_path / "none", key), "missing_file", "tls_cert"),
        ((cert, tmp_path), "missing_file", "tls_key"),
        ((text, key), "bad_certificate", "tls_cert"),
        ((cert, text), "bad_key", "tls_key"),
        ((cert, other_key), "bad_key", "tls_key"),
        ((cert, secret), "bad_key", "tls_key"),
        (past, "certificate_expired", "tls_cert"),
        (future, "certificate_not_yet_valid", "tls_cert"),
    ]:
        with pytest.raises(InputError) as refused:
            check_certificate(*pair)
        assert (refused.value.code, refused.value.field) == (code, field)


def test_https_with_a_key(start, authority, make_cert, payload, tmp_path):
    cert, key = make_cert()
    keys = tmp_path / "keys.toml"
    token = add_key(keys, "test")
    server = start(host="0.0.0.0", tls_cert=str(cert), tls_key=str(key), api_keys=str(keys))
    assert server.said["url"].startswith("https://")
    context = ssl.create_default_context()
    authority.configure_trust(context)

    def ask(method, path, body=None, token=None):
        connection = http.client.HTTPSConnection(
            "127.0.0.1", server.port, context=context, timeout=20
        )
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        content = response.read()
        connection.close()
        return response.status, content, dict(response.getheaders())

    events = server.path("s") + "/events"
    body = json.dumps(payload(seq=1)).encode()
    for token_or_none in (None, "tg_guess"):
        for method, path, content in [
            ("POST", events, body),
            ("POST", "/v1/models/small/events", body),
            ("GET", server.path("s"), None),
            ("DELETE", server.path("s"), None),
            ("GET", "/v1/models", None),
            ("GET", "/metrics", None),
            ("GET", "/nothing", None),
        ]:
            status, said, headers = ask(method, path, content, token_or_none)
            assert (status, headers["www-authenticate"]) == (401, "Bearer")
            assert json.loads(said)["error"]["code"] == "unauthorized"
    for path in ("/healthz", "/readyz"):
        assert ask("GET", path)[0] == 200
    status, said, _ = ask("POST", events, body, token)
    assert (status, json.loads(said)["seq"]) == (200, 1)  # what was refused was not applied
    shown = ask("GET", "/metrics", token=token)[1].decode()
    assert 'tidegate_requests_refused_total{code="unauthorized"} 14.0' in shown

    # A key that is gone is refused after SIGHUP; the server goes on.
    other = add_key(keys, "other")
    keys.write_text("".join(keys.read_text().splitlines(keepends=True)[1:]))
    assert ask("GET", "/metrics", token=token)[0] == 200
    os.kill(server.process.pid, signal.SIGHUP)
    while ask("GET", "/metrics", token=token)[0] != 401:
        assert server.process.poll() is None
    assert ask("GET", "/metrics", token=other)[0] == 200
    assert server.end() == (0, "")


def test_keys_that_cannot_be_read_again_stay_as_they_were(start, tmp_path):
    keys = tmp_path / "keys.toml"
    token = add_key(keys, "a")
    server = start(api_keys=str(keys))
    keys.write_text("nothing")
    os.kill(server.process.pid, signal.SIGHUP)
    line = server.process.stderr.readline()  # that it was tried
    told = json.loads(line)
    assert told["level"] == "error"
    assert "the API keys stay as they were" in told["msg"]
    connection = server.connect()
    connection.request("GET", "/v1/models", headers={"authorization": f"Bearer {token}"})
    assert connection.getresponse().status == 200
    connection.close()


def test_plain_http_is_not_answered_where_tls_is_asked_for(start, make_cert):
    cert, key = make_cert()
    server = start(tls_cert=str(cert), tls_key=str(key))
    with pytest.raises((OSError, http.client.HTTPException)):
        server.get("/healthz")


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"tls_cert": "none", "tls_key": "none"}, "missing_file"),
        ({"api_keys": "none"}, "missing_file"),
        ({"host": "0.0.0.0"}, "exposed"),
    ],
)
def test_what_is_wrong_is_said_before_the_store_is_opened(start, tmp_path, settings, code):
    server = start(store=str(tmp_path / "untouched"), **settings)
    assert server.said["code"] == code
    assert server.process.wait(20) == 3
    assert not (tmp_path / "untouched").exists()


def test_keys_that_are_asked_for_but_missing_let_nobody_in(start, tmp_path):
    keys = tmp_path / "keys.toml"
    keys.write_text("# none yet\n")
    server = start(api_keys=str(keys))
    assert server.get("/v1/models")[0] == 401
    _, errors = server.end()
    assert "holds no key" in json.loads(errors)["msg"]

"""Settings from four places, printed so that they can be read again."""

from __future__ import annotations

import tomllib

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.errors import InputError
from tidegate.serve.config import ServeSettings, about
from tidegate.serve.sources import gather


def test_flags_win_over_the_environment_over_the_file_over_defaults(tmp_path):
    file = tmp_path / "gate.toml"
    file.write_text('store = "memory:"\nport = 1\nhost = "file"\nkept_answers = 3\n')
    environment = {"TIDEGATE_PORT": "2", "TIDEGATE_HOST": "environment"}
    found = gather(file, environment, {"port": 3, "grace_seconds": None})
    taken = found.settings()
    got = (taken.port, taken.host, taken.kept_answers, taken.grace_seconds)
    assert got == (3, "environment", 3, 10.0)
    origins = [found.origins[n] for n in ("port", "host", "kept_answers", "grace_seconds")]
    assert origins == ["--port", "TIDEGATE_HOST", str(file), "default"]


def test_the_file_may_be_named_by_the_environment(tmp_path):
    file, other = tmp_path / "gate.toml", tmp_path / "other.toml"
    file.write_text("port = 1")
    other.write_text("port = 2")
    environment = {"TIDEGATE_CONFIG": str(file)}
    assert gather(None, environment).values["port"] == 1
    assert gather(other, environment).values["port"] == 2


def test_paths_in_a_file_are_relative_to_it(tmp_path):
    file = tmp_path / "gate.toml"
    file.write_text('store = "state"\napi_keys = "/etc/keys"\ntls_cert = ""\n')
    values = gather(file, {"TIDEGATE_TLS_KEY": "key.pem"}).values
    assert values["store"] == str(tmp_path / "state")
    assert (values["api_keys"], values["tls_cert"]) == ("/etc/keys", "")
    assert values["tls_key"] == "key.pem"
    file.write_text('store = "memory:"')
    assert gather(file, {}).values["store"] == "memory:"


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("port", "9000", 9000),
        ("insecure", "true", True),
        ("insecure", "0", False),
        ("reorder_ms", "2.5", 2.5),
        ("tombstone_hours", "2", 2.0),
        ("commit", "interval", "interval"),
        ("store", "7", "7"),
    ],
)
def test_the_environment_is_typed(name, text, value):
    found = gather(None, {f"TIDEGATE_{name.upper()}": text}).values[name]
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("environment", "code", "field", "hint"),
    [
        ({"TIDEGATE_PORT": "http"}, "wrong_type", "TIDEGATE_PORT", "int"),
        ({"TIDEGATE_COMMIT": "never"}, "wrong_type", "TIDEGATE_COMMIT", "every, interval"),
        ({"TIDEGATE_PROT": "1"}, "unknown_variable", "TIDEGATE_PROT", "TIDEGATE_PORT?"),
        (
            {"TIDEGATE_SERVICE_HOST": "10.0.0.1", "TIDEGATE_PORT": "tcp://10.0.0.1:80"},
            "unknown_variable",
            "TIDEGATE_PORT",
            "enableServiceLinks: false",
        ),
    ],
)
def test_a_variable_that_is_wrong_is_refused(environment, code, field, hint):
    with pytest.raises(InputError) as refused:
        gather(None, environment)
    assert (refused.value.code, refused.value.field) == (code, field)
    assert hint in refused.value.hint


def test_other_variables_are_let_alone():
    others = {"TIDEGATE_ISA": "scalar", "TIDEGATE_CACHE": "/c", "PORT": "1", "tidegate_port": "2"}
    assert set(gather(None, others).origins.values()) == {"default"}


@pytest.mark.parametrize(
    ("text", "code", "field"),
    [
        ("prot = 1", "unknown_key", "prot"),
        ('port = "1"', "wrong_type", "port"),
        ("[port]", "wrong_type", "port"),
        ("port = ", "not_toml", "config"),
    ],
)
def test_a_file_that_is_wrong_is_refused(tmp_path, text, code, field):
    file = tmp_path / "gate.toml"
    file.write_text(text)
    with pytest.raises(InputError) as refused:
        gather(file, {})
    assert (refused.value.code, refused.value.field) == (code, field)


def test_a_value_that_is_not_allowed_names_where_it_is_from():
    with pytest.raises(InputError, match="port: 70000 is not allowed, from TIDEGATE_PORT"):
        gather(None, {"TIDEGATE_PORT": "70000", "TIDEGATE_STORE": "memory:"}).settings()
    with pytest.raises(InputError) as refused:
        gather(None, {}).settings()
    assert (refused.value.code, refused.value.field) == ("missing_setting", "store")


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@settings(deadline=None, max_examples=50)
@given(host=texts, port=st.integers(0, 65535), wait=st.floats(0, 60_000), insecure=st.booleans())
def test_what_is_printed_reads_the_same(host, port, wait, insecure):
    flags = {"store": "memory:", "host": "h" + host.replace("/", ""), "port": port}
    flags |= {"reorder_ms": wait, "insecure": insecure}
    found = gather(None, {}, flags)
    read = tomllib.loads(found.to_toml())
    assert read == found.values
    assert msgspec.convert(read, ServeSettings) == found.settings()


def test_each_printed_line_says_where_it_is_from_and_what_it_means():
    lines = gather(None, {"TIDEGATE_PORT": "1"}, {"store": "memory:"}).to_toml().splitlines()
    assert [line.split()[0] for line in lines] == list(about())
    said = {line.split()[0]: line.partition("  # ")[2] for line in lines}
    assert said["port"] == "TIDEGATE_PORT: " + about()["port"][2].meaning
    assert said["store"].startswith("--store: Folder")
    assert said["reorder_ms"].startswith("default: [ms] ")


def test_passwords_are_not_printed():
    printed = gather(None, {}, {"store": "redis://ann:hunter2@host/0"}).to_toml()
    assert "hunter2" not in printed
    assert 'store = "redis://***@host/0"' in printed

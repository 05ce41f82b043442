"""``tidegate config`` and the flags of ``tidegate serve``: one for every setting."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib

import pytest
from command import tidegate
from typer.main import get_command

from tidegate.cli.app import app
from tidegate.serve.config import about


@pytest.mark.parametrize("verb", ["serve", "config"])
def test_every_setting_has_a_flag_with_its_meaning(verb):
    options = {p.name: p for p in get_command(app).commands[verb].params}
    for name, (_, _, said) in about().items():
        assert options[name].opts[0] == "--" + name.replace("_", "-")
        assert options[name].help.startswith(said.meaning)
    assert set(options) - set(about()) - {"bundle"} == {"config"}


def test_it_prints_what_serve_would_have(tmp_path, monkeypatch):
    (tmp_path / "gate.toml").write_text("kept_answers = 3\nport = 1\n")
    monkeypatch.setenv("TIDEGATE_PORT", "2")
    done = tidegate("config", "--config", tmp_path / "gate.toml", "--insecure", "--store", "s")
    assert (done.returncode, done.stderr) == (0, "")
    read = tomllib.loads(done.stdout)
    found = [read[n] for n in ("kept_answers", "port", "insecure", "store", "host")]
    assert found == [3, 2, True, "s", "127.0.0.1"]
    assert re.search(r"^port = 2 +# TIDEGATE_PORT: Port", done.stdout, re.MULTILINE)
    # What it printed is a file that gives the same again.
    (tmp_path / "again.toml").write_text(done.stdout)
    monkeypatch.delenv("TIDEGATE_PORT")
    again = tomllib.loads(tidegate("config", "--config", tmp_path / "again.toml").stdout)
    assert again == {**read, "store": str(tmp_path / "s")}


def test_without_a_store_there_is_still_something_to_see():
    done = tidegate("config")
    assert done.returncode == 0
    assert done.stdout.startswith("# store = ")
    assert "store" not in tomllib.loads(done.stdout)


def test_what_is_wrong_is_said(tmp_path, monkeypatch):
    (tmp_path / "gate.toml").write_text("prot = 1")
    monkeypatch.setenv("TIDEGATE_LOG_LEVEL", "info")
    for code, says, arguments in [
        (2, "No such option", ["config", "--prot", "1"]),
        (2, "--port", ["config", "--port", "http"]),
        (2, "--commit", ["config", "--commit", "never"]),
        (3, "port: 70000 is not allowed, from --port", ["config", "--port", "70000"]),
        (3, "did you mean port?", ["config", "--config", tmp_path / "gate.toml"]),
        (3, "missing_setting", ["serve", tmp_path]),
    ]:
        done = tidegate(*arguments)
        assert done.returncode == code, (arguments, done.stderr)
        assert says in " ".join(done.stderr.replace("│", " ").split())
        assert done.stdout == ""
    monkeypatch.setenv("TIDEGATE_LOG_LEVLE", "info")
    done = tidegate("config")
    assert (done.returncode, "did you mean TIDEGATE_LOG_LEVEL?" in done.stderr) == (3, True)


def test_the_command_line_makes_its_flags_without_loading_a_server():
    # What they are made of, and no more.
    program = (
        "import sys, tidegate.cli.app; print(*(m for m in sys.modules if 'tidegate.serve' in m))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert set(done.stdout.split()) == {
        "tidegate.serve",
        "tidegate.serve.config",
        "tidegate.serve.sources",
    }

from __future__ import annotations

import json
import stat

from command import said, tidegate

from tidegate.serve.auth import Keys


def test_a_key_from_its_making_to_its_end(tmp_path, monkeypatch):
    file = tmp_path / "keys.toml"
    made = tidegate("key", "new", "dashboard", "--file", file)
    assert made.returncode == 0
    token = made.stdout.strip()
    assert token not in made.stderr + file.read_text()
    assert Keys.load(file).check(f"Bearer {token}") == "dashboard"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    monkeypatch.setenv("TIDEGATE_API_KEYS", str(file))
    assert tidegate("key", "new", "robot").returncode == 0
    assert tidegate("key", "list").stdout == "dashboard\nrobot\n"
    assert tidegate("key", "remove", "dashboard").returncode == 0
    done = tidegate("key", "list", "--json")
    assert json.loads(done.stdout) == ["robot"] == said("key", "list")
    assert Keys.load(file).check(f"Bearer {token}") is None


def test_what_is_wrong_is_said(tmp_path):
    file = tmp_path / "keys.toml"
    for arguments, says in [
        (["key", "new", "a"], "missing_option"),
        (["key", "new", "a b", "--file", file], "bad_key_name"),
        (["key", "remove", "a", "--file", file], "key_unknown"),
    ]:
        done = tidegate(*arguments)
        assert (done.returncode, says in done.stderr) == (3, True), done.stderr
    assert not file.exists()
    assert tidegate("key", "list", "--file", file).stdout == ""

"""``tidegate store``: copies, checks, tables."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from tidegate import record
from tidegate.cli.app import app
from tidegate.record import Record
from tidegate.store import LogStore, session_key

runner = CliRunner()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    known = Record(
        *("live", b"f" * 32, "v1", 1, 2.0, 0.0, 3.0),
        encoder=np.zeros(1),
        hidden=np.zeros(2, dtype=np.float32),
    )
    with contextlib.closing(LogStore(tmp_path / "store")) as records:
        records.commit(
            [(session_key("default", "m", f"{n}"), record.encode(known)) for n in range(7)]
        )
    return tmp_path / "store"


def run(*arguments: object) -> object:
    result = runner.invoke(app, ["store", *map(str, arguments), "--json"])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_there_and_back(path: Path, tmp_path: Path) -> None:
    with contextlib.closing(LogStore(path)):  # a server has it
        copied = run("backup", path, tmp_path / "copy")
        assert run("verify", path)["sessions"] == 7
        assert run("export", path, tmp_path / "out.parquet")["sessions"] == 7
    assert copied["path"] == str(tmp_path / "copy")
    assert copied["bytes"] > 7 * 200
    assert run("restore", tmp_path / "copy", tmp_path / "restored") == {
        "path": str(tmp_path / "restored"),
        "bytes": copied["bytes"],
    }
    assert run("import", tmp_path / "out.parquet", tmp_path / "new")["sessions"] == 7
    for name in ("restored", "new"):
        report = run("verify", tmp_path / name)
        assert (report["sessions"], report["damaged"]) == (7, [])


def test_damage_has_an_exit_code_of_its_own(path: Path) -> None:
    segment = path / "0000000000000001.log"
    content = bytearray(segment.read_bytes())
    content[64 + 100] ^= 1
    segment.write_bytes(content)
    result = runner.invoke(app, ["store", "verify", str(path)])
    assert result.exit_code == 6
    assert "0000000000000001.log at byte 64, session default/m/0" in result.stdout
    assert result.stdout.endswith("7 frames, 7 sessions, 1 damaged\n")


def test_what_cannot_be_done_says_why(path: Path, tmp_path: Path) -> None:
    for arguments, code in (
        (("backup", tmp_path / "nothing", tmp_path / "copy"), 5),
        (("backup", path, path), 3),
        (("import", path / "CURRENT", tmp_path / "new"), 3),
    ):
        result = runner.invoke(app, ["store", *map(str, arguments)])
        assert result.exit_code == code
        assert "error: " in result.stderr

"""``tidegate store``: copies, checks, tables."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import numpy as np
import pytest
from logs import flip
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
    flip(path / "0000000000000001.log", 64 + 100)
    result = runner.invoke(app, ["store", "verify", str(path)])
    assert result.exit_code == 6
    assert "0000000000000001.log at byte 64, session default/m/0" in result.stdout
    assert result.stdout.endswith("7 frames, 7 sessions, 1 damaged\n")


def test_what_can_be_read_is_salvaged(path: Path, tmp_path: Path) -> None:
    """A damaged header, and a damaged value: the other sessions go to a new store."""
    with contextlib.closing(LogStore(path, read_only=True)) as look:
        places = {key: (segment, offset) for key, _, _, segment, offset, _ in look.frames()}
    for number, into in (("2", 4), ("4", 100)):
        segment, offset = places[session_key("default", "m", number)]
        flip(path / f"{segment:016}.log", offset + into)
    for file in path.glob("*.idx"):
        file.unlink()
    refused = runner.invoke(app, ["store", "export", str(path), str(tmp_path / "out.parquet")])
    assert refused.exit_code == 5
    assert "export --salvage" in refused.stderr
    arguments = ["store", "export", str(path), str(tmp_path / "out.parquet"), "--salvage"]
    result = runner.invoke(app, [*arguments, "--json"])
    assert result.exit_code == 6
    said = json.loads(result.stdout)
    assert (said["path"], said["sessions"]) == (arguments[3], 5)
    assert [(damage["file"], damage["session"]) for damage in said["damaged"]] == [
        ("0000000000000001.log", None),
        ("0000000000000001.log", ["default", "m", "4"]),
    ]
    result = runner.invoke(app, arguments)
    assert result.exit_code == 6
    assert "session unknown: no frame begins where one should" in result.stdout
    assert "session default/m/4: " in result.stdout
    assert result.stdout.endswith("out.parquet: 5 sessions, 2 damaged\n")
    assert run("import", tmp_path / "out.parquet", tmp_path / "new")["sessions"] == 5
    assert run("verify", tmp_path / "new")["sessions"] == 5


def test_a_salvage_of_a_sound_store_loses_nothing(path: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.parquet"
    assert run("export", path, out, "--salvage") == {
        "path": str(out),
        "sessions": 7,
        "damaged": [],
    }
    assert run("import", out, tmp_path / "new", "--salvage")["sessions"] == 7


def test_a_damaged_record_is_left_out_of_an_import(path: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.parquet"
    flip(path / "0000000000000001.log", 64 + 100)
    assert run("export", path, out)["sessions"] == 7  # its bytes as they are
    refused = runner.invoke(app, ["store", "import", str(out), str(tmp_path / "new")])
    assert refused.exit_code == 5
    assert "import --salvage" in refused.stderr
    assert not (tmp_path / "new").exists()
    arguments = ["store", "import", str(out), str(tmp_path / "new"), "--salvage"]
    result = runner.invoke(app, [*arguments, "--json"])
    assert result.exit_code == 6
    said = json.loads(result.stdout)
    assert said["sessions"] == 6
    assert [bad["session"] for bad in said["damaged"]] == [["default", "m", "0"]]
    result = runner.invoke(app, arguments)
    assert f"row {said['damaged'][0]['row']}, session default/m/0: " in result.stdout
    assert result.stdout.endswith("new: 6 sessions, 1 damaged\n")
    report = run("verify", tmp_path / "new")
    assert (report["sessions"], report["damaged"]) == (6, [])


def test_what_cannot_be_done_says_why(path: Path, tmp_path: Path) -> None:
    for arguments, code in (
        (("backup", tmp_path / "nothing", tmp_path / "copy"), 5),
        (("backup", path, path), 3),
        (("import", path / "CURRENT", tmp_path / "new"), 3),
    ):
        result = runner.invoke(app, ["store", *map(str, arguments)])
        assert result.exit_code == code
        assert "error: " in result.stderr

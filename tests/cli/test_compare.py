import json
from pathlib import Path

import msgspec
import pytest
from command import tidegate as run
from rises import write

from tidegate.train.compare import Comparison


def test_it_measures_and_decides(tmp_path: Path) -> None:
    config = write(tmp_path)
    arguments = ["compare", str(config), "--models", "gru,rnn", "--seeds", "2", "--rates", "1"]
    shown = run(*arguments)
    assert shown.returncode == 0, shown.stderr
    assert "Take " in shown.stdout
    for heading in ("parameters", "learning rate", "training", "a session"):
        assert heading in shown.stdout, "a terminal of 80 columns shows it whole"
    assert "2/4 rnn: learning rate 0.02, seed 0" in shown.stderr
    folder = tmp_path / "rises.compare"
    found = msgspec.json.decode((folder / "comparison.json").read_bytes(), type=Comparison)
    assert [entry.name for entry in found.entries] == ["gru", "rnn"]
    assert (folder / "comparison.html").is_file()
    again = run(*arguments, "--json")
    said = json.loads(again.stdout)
    assert said["comparison"] == json.loads((folder / "comparison.json").read_bytes())
    assert said["verdict"]["choice"] in ("gru", "rnn")


def test_quick_measures_nothing(tmp_path: Path) -> None:
    config = write(tmp_path)
    shown = run("compare", str(config), "--quick")
    assert shown.returncode == 0, shown.stderr
    assert "NOTHING WAS MEASURED" in shown.stdout
    said = json.loads(run("compare", str(config), "--quick", "--json").stdout)
    assert said["measured"] is False
    assert {rule["side"] for rule in said["rules"]} <= {"gru", "lstm", "either", "neither", None}
    assert not (tmp_path / "rises.compare").exists()


@pytest.mark.parametrize(
    ("options", "field"),
    [
        (["--models", "gru,gro"], "models"),
        (["--seeds", "0"], "seeds"),
        (["--rates", "1,x"], "rates"),
    ],
)
def test_bad_options(tmp_path: Path, options: list[str], field: str) -> None:
    shown = run("compare", str(write(tmp_path)), *options)
    assert shown.returncode == 3
    assert shown.stderr.splitlines()[-1].startswith(f"error: {field}: ")
    assert not (tmp_path / "rises.compare").exists()

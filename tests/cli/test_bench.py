"""`tidegate bench`, from the outside."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest


def bench(*arguments) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tidegate", "bench", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )


def test_a_quick_run_from_the_figures_to_the_picture(tmp_path) -> None:
    file, out = tmp_path / "results.json", tmp_path / "plots"
    fast = ("--quick", "--seconds", "0.01", "--precision", "fp32", "--rounds", "2")
    done = bench("engine", *fast, "--json", file, "--out", out)
    assert done.returncode == 0, done.stderr
    found = json.loads(file.read_text())
    assert set(found) == {"machine", "settings", "rows", "timings"}
    assert [row["entry"] for row in found["rows"]] == ["kernel", "engine"] * 4 + ["engine"]
    assert found["rows"][-1]["sessions"] == 10_000
    assert found["machine"]["peak_gops"]["scalar"]["fp32"] > 0
    assert "gru:16-64@256/10000" in done.stdout
    assert "10,000 live sessions" in done.stdout.replace("\n", " ")
    isa = found["rows"][0]["isa"]
    assert {path.name for path in out.iterdir()} == {"engine.html", f"engine-fp32-{isa}.png"}

    shown = bench("show", file)
    assert shown.returncode == 0, shown.stderr
    assert "onnxruntime bound" in shown.stdout
    markdown = bench("show", file, "--markdown")
    assert markdown.stdout.startswith(f"### {found['machine']['processor']}\n")


@pytest.mark.parametrize(
    ("says", "arguments"),
    [
        ("bad_case", ["engine", "--case", "gru:16@1"]),
        ("unknown_precision", ["engine", "--quick", "--precision", "fp8"]),
        ("unknown_isa", ["engine", "--quick", "--isa", "mmx"]),
        ("--seconds: -1", ["engine", "--seconds", "-1"]),
        ("--seconds: nan", ["engine", "--seconds", "nan"]),
        ("--rounds: 0", ["engine", "--rounds", "0"]),
        ("cannot_write", ["engine", "--json", "/proc/version/results.json"]),
        ("bad_case", ["train", "--case", "gru:16-64@64"]),
        ("--option: 'dropout'", ["train", "--option", "dropout"]),
        ("--precision: 'int8'", ["train", "--precision", "int8"]),
        ("--lengths: 'short'", ["train", "--lengths", "short"]),
        ("--threads: 0", ["train", "--threads", "0"]),
        ("--threads: 99999", ["train", "--threads", "99999"]),
        ("--seconds: nan", ["train", "--seconds", "nan"]),
        ("--rounds: 0", ["train", "--rounds", "0"]),
        ("cannot_write", ["train", "--json", "/proc/version/results.json"]),
        ("bad_results", ["show", "/proc/version"]),
        ("unknown_group", ["serve", "--only", "smoke", "--folder", "{tmp}"]),
        ("missing_sources", ["serve", "--benchmarks", "{tmp}", "--folder", "{tmp}"]),
        ("--seconds: 0.0", ["serve", "--seconds", "0"]),
        ("--bulk-seconds: nan", ["serve", "--bulk-seconds", "nan"]),
        ("--sessions: 5", ["serve", "--sessions", "5"]),
    ],
)
def test_bad_options_are_refused_before_anything_runs(says, arguments, tmp_path) -> None:
    done = bench(*(word.replace("{tmp}", str(tmp_path)) for word in arguments))
    assert done.returncode == 3, done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_help_has_examples() -> None:
    for command in ("engine", "train", "serve", "show"):
        assert "Example" in bench(command, "--help").stdout


def test_training_from_the_figures_to_the_picture(tmp_path) -> None:
    file, out = tmp_path / "results.json", tmp_path / "plots"
    tiny = ("--case", "gru:3-8@6x12", "--case", "lstm:3-8@6x12", "--seconds", "0.001")
    done = bench("train", "--quick", *tiny, "--rounds", "2", "--json", file, "--out", out)
    assert done.returncode == 0, done.stderr
    found = json.loads(file.read_text())
    assert set(found) == {"bench", "machine", "settings", "rows", "timings"}
    assert found["bench"] == "train"
    assert found["settings"]["rounds"] == 2
    assert 1 <= found["settings"]["threads"] <= 2
    plain = [row for row in found["rows"] if row["options"] == "plain"]
    assert [row["cell"] for row in plain] == ["gru"] * 4 + ["lstm"] * 4
    assert {(row["precision"], row["lengths"]) for row in plain} == {
        *(("fp32", "full"), ("fp32", "ragged"), ("bf16", "full"), ("bf16", "ragged")),
    }
    assert {row["path"] for row in found["rows"]} == {"fused"}
    assert "lstm:3-8@6x12" in done.stdout
    assert "loop layer_norm" in done.stdout
    names = {f"train-{chart}.png" for chart in ("steps", "options", "ragged", "memory")}
    assert {path.name for path in out.iterdir()} == {"train.html", *names}

    shown = bench("show", file)
    assert shown.returncode == 0, shown.stderr
    assert "torch RNN" in shown.stdout
    markdown = bench("show", file, "--markdown")
    assert markdown.stdout.startswith(f"### {found['machine']['processor']}, ")


def test_what_is_asked_for_is_what_is_trained(tmp_path) -> None:
    file = tmp_path / "results.json"
    asked = ("--option", "zoneout+layer_norm", "--precision", "bf16", "--lengths", "ragged")
    fast = ("--seconds", "0.001", "--rounds", "1", "--threads", "1", "--json", file)
    done = bench("train", "--case", "rnn:3-8@6x12", *asked, *fast)
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(file.read_text())["rows"]
    assert (row["cell"], row["options"]) == ("rnn", "layer_norm+zoneout")
    assert (row["precision"], row["lengths"]) == ("bf16", "ragged")
    assert row["padded_ms"] > 0


def test_servers_from_the_figures_to_the_picture(tmp_path) -> None:
    file, out = tmp_path / "results.json", tmp_path / "plots"
    few = ("--no-peers", "--seconds", "0.3", "--sessions", "1000", "--folder", tmp_path / "build")
    groups = ("--only", "http", "--only", "lone", "--only", "memory", "--only", "start")
    done = bench("serve", *groups, *few, "--json", file, "--out", out)
    assert done.returncode == 0, done.stderr
    found = json.loads(file.read_text())
    assert found["missing"] == []
    assert [row["errors"] for row in found["rows"]] == [0] * 7
    assert [row["connections"] for row in found["rows"]] == [64, 64, 1, 8, 256, 1, 1]
    closed, opened = found["rows"][:2]
    assert opened["rate"] == pytest.approx(0.8 * closed["events_per_s"], abs=0.1)
    assert all(row["server_cpu_s"] > 0 for row in (closed, opened))
    assert found["sync"]["p50_ms"] > 0
    assert found["sync"]["paced_p50_ms"] > 0
    assert [start["sessions"] for start in found["starts"]] == [0]
    assert [held["sessions"] for held in found["memory"]] == [0, 1000]
    assert "met: idle memory" in done.stdout
    assert {path.suffix for path in out.iterdir()} == {".html", ".png"}
    assert {path.name for path in (tmp_path / "build").iterdir()} == {"load"}  # no stores are left

    shown = bench("show", file)
    assert shown.returncode == 0, shown.stderr
    assert "idle memory" in shown.stdout
    markdown = bench("show", file, "--markdown")
    assert markdown.stdout.startswith(f"### {found['machine']['processor']}")

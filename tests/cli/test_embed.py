"""`tidegate embed`: features of events and of sessions, and a bundle that serves them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
from command import said, tidegate

from tidegate import bundle as bundles
from tidegate.engine import Engine


def test_features_are_what_a_server_of_the_bundle_answers(
    saved_bundle: Path, frame: pl.DataFrame, tmp_path: Path
) -> None:
    source, out, kept = (tmp_path / name for name in ("events.parquet", "h.parquet", "state"))
    frame.write_parquet(source)
    report = said("embed", saved_bundle, source, "--out", out, "--save", kept)
    assert (report["numbers"], report["rows"], report["sessions"]) == (12, 60, 3)
    got = pl.read_parquet(out)
    assert got["time"].to_list() == frame["time"].to_list()

    made = bundles.load(kept)
    engine = Engine.open(made)
    names = [f"h{at}" for at in range(12)]
    for row in frame.with_row_index().sort("time").iter_rows(named=True):
        event = {name: row[name] for name in made.schema.names}
        typed = made.schema.stack([made.schema.type_event(event)])
        stepped = engine.step_events([row["session"]], typed, np.array([row["time"]]))
        assert stepped.outputs[0].tolist() == list(got.select(names).row(row["index"]))

    said("embed", saved_bundle, source, "--out", out, "--per", "session")
    last = pl.read_parquet(out).sort("session")
    wanted = got.sort("time").group_by("session").last().sort("session")
    assert last.select(names).equals(wanted.select(names))
    assert last["seq"].to_list() == frame.group_by("session").len().sort("session")["len"].to_list()


def test_what_is_missing_is_named(saved_bundle: Path, tmp_path: Path) -> None:
    for arguments, said_ in (
        ((), "--out: there is nothing to write (missing_option)"),
        (("--out", tmp_path / "h.csv"), "EVENTS: there are no events (missing_option)"),
    ):
        done = tidegate("embed", saved_bundle, *arguments)
        assert done.returncode == 3
        assert said_ in done.stderr

"""The table of what was run; `--quick` needs the flights, and a minute."""

from __future__ import annotations

import flights_embed
import msgspec

from tidegate.train import load_config


def test_the_docs_hold_the_runs_that_are_kept() -> None:
    page = (flights_embed.HERE.parent / "docs" / "embed.md").read_text()
    assert flights_embed.table(flights_embed.RESULTS) in page


def test_each_run_has_the_same_flights() -> None:
    found = [
        msgspec.json.decode(path.read_bytes(), type=flights_embed.EmbedRun)
        for path in sorted(flights_embed.RESULTS.glob("*.json"))
    ]
    assert [run.seed for run in found] == [0, 1, 2]
    assert len({tuple(run.questions.values()) for run in found}) == 1
    for run in found:  # whatever the GRU was, boosting with lags alone is the same
        assert run.apart.lags == found[0].apart.lags
        assert run.together.lags == found[0].together.lags


def test_the_months_are_those_that_boosting_does_not_learn_from() -> None:
    config = load_config(flights_embed.FLIGHTS / "flights.toml")
    ends = {*map(str, (config.split.valid_from, config.split.test_from))}
    assert {each.replace("T", " ") for each in flights_embed.TOGETHER} == ends
    assert max(flights_embed.APART) < "2013-10"

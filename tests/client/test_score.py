"""A table through the server gives what `tidegate score` gives without it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from command import said
from gate import Gate
from polars.testing import assert_frame_equal

from tidegate.client import AsyncClient, Client
from tidegate.errors import InputError


@pytest.fixture(scope="module")
def events(random_events: Any) -> pl.DataFrame:
    """Sessions of 1 to 40 events, in disorder."""
    rng = np.random.default_rng(3)
    lengths = rng.integers(1, 41, 30)
    owner = np.repeat(np.arange(30), lengths)
    columns = random_events(len(owner), rng)
    frame = pl.DataFrame(
        {
            "user": [f"u{i}" for i in owner],
            "at": np.arange(len(owner)) * 7.5 + 1_700_000_000,
            "speed": pl.Series(columns["speed"], nan_to_null=True),
            "load": pl.Series(columns["load"], nan_to_null=True),
            "road": columns["road"].tolist(),
            "wet": [None if np.isnan(v) else bool(v) for v in columns["wet"]],
            "driver": columns["driver"].tolist(),
        }
    )
    return frame.sample(fraction=1.0, shuffle=True, seed=5)


@pytest.fixture(scope="module")
def offline(events: pl.DataFrame, saved_bundle: Path, tmp_path_factory: Any) -> pl.DataFrame:
    folder = tmp_path_factory.mktemp("offline")
    events.write_parquet(folder / "events.parquet")
    out = folder / "answers.parquet"
    said(
        "score",
        saved_bundle,
        folder / "events.parquet",
        "--out",
        out,
        "--session",
        "user",
        "--time",
        "at",
    )
    return pl.read_parquet(out)


def fresh(events: pl.DataFrame, prefix: str) -> pl.DataFrame:
    return events.with_columns(pl.concat_str(pl.lit(prefix), "user").alias("user"))


def check(scored: pl.DataFrame, offline: pl.DataFrame, prefix: str) -> None:
    assert scored["error_code"].null_count() == len(scored)
    expected = fresh(offline.rename({"session": "user"}), prefix).rename({"user": "session"})
    assert_frame_equal(scored.select(expected.columns), expected, check_exact=True)


def test_it_equals_what_is_scored_offline(gate: Any, events: pl.DataFrame, offline: Any) -> None:
    with Client(gate.url, "small") as client:
        scored = client.score(fresh(events, "a-"), session="user", time="at")
        check(scored, offline, "a-")
        assert not scored["duplicate"].any()
        check(
            client.score(fresh(events, "p-").to_pandas(), session="user", time="at"), offline, "p-"
        )


def test_so_does_the_one_that_is_awaited(gate: Any, events: pl.DataFrame, offline: Any) -> None:
    async def run() -> pl.DataFrame:
        async with AsyncClient(gate.url, "small") as client:
            return await client.score(fresh(events, "b-"), session="user", time="at")

    check(asyncio.run(run()), offline, "b-")


def test_answers_that_were_lost_are_asked_for_again(
    gate: Any, between: Any, events: pl.DataFrame, offline: Any
) -> None:
    proxy = between(gate.port, lambda n: "drop" if n % 2 == 0 else "pass")
    with Client(proxy.url, "small") as client:
        scored = client.score(fresh(events, "c-"), session="user", time="at")
    check(scored, offline, "c-")
    assert scored["duplicate"].any()


def test_no_more_events_are_on_their_way_than_the_server_keeps_answers(
    saved_bundle: Path, tmp_path: Path, between: Any, events: pl.DataFrame, offline: Any
) -> None:
    gate = Gate(saved_bundle, tmp_path / "store", "--kept-answers", "2")
    try:
        proxy = between(gate.port, lambda n: "drop" if n % 2 == 0 else "pass")
        with Client(proxy.url, "small") as client:
            check(client.score(fresh(events, "n-"), session="user", time="at"), offline, "n-")
    finally:
        gate.close()


def test_a_server_that_is_killed_is_waited_for(
    saved_bundle: Path, tmp_path: Path, between: Any, events: pl.DataFrame, offline: Any
) -> None:
    gate = Gate(saved_bundle, tmp_path / "store")

    def behave(number: int) -> str:
        if number in (3, 6):  # the request before it has been answered, this one is on its way
            gate.end()
            gate.start()
        return "drop" if number in (3, 5) else "pass"

    proxy = between(gate.port, behave)
    try:
        with Client(proxy.url, "small") as client:
            check(client.score(fresh(events, "k-"), session="user", time="at"), offline, "k-")
    finally:
        gate.close()
    assert proxy.requests > 6


def test_a_store_that_failed_is_waited_for(
    gate: Any, between: Any, events: pl.DataFrame, offline: Any
) -> None:
    refused = b'{"error":{"code":"store_failed","message":"no","hint":""},"line":1}\n'

    def behave(number: int) -> Any:
        # Request 1 describes the model; request 2 holds the first 8 events of each session.
        sizes = events.group_by("user").len()["len"]
        return (200, {}, refused * int(sizes.clip(0, 8).sum())) if number == 2 else "pass"

    proxy = between(gate.port, behave)
    with Client(proxy.url, "small") as client:
        check(client.score(fresh(events, "d-"), session="user", time="at"), offline, "d-")


def test_an_event_that_is_refused_has_its_error_in_its_row(gate: Any, events: pl.DataFrame) -> None:
    broken = fresh(events, "e-").with_columns(
        pl.when(pl.col("user") == "e-u3").then(None).otherwise(pl.col("driver")).alias("driver")
    )
    with Client(gate.url, "small") as client:
        scored = client.score(broken, session="user", time="at")
    failed = scored.filter(pl.col("error_code").is_not_null())
    assert set(failed["session"]) == {"e-u3"}
    assert len(failed) == (broken["user"] == "e-u3").sum()
    assert set(failed["error_code"]) == {"missing_field", "seq_gap"}
    assert failed["label"].null_count() == len(failed)


def test_a_table_that_does_not_fit_is_refused_before_anything_is_sent(
    gate: Any, events: pl.DataFrame
) -> None:
    with Client(gate.url, "small") as client:
        with pytest.raises(InputError, match="missing_column"):
            client.score(events.drop("road"), session="user", time="at")
        with pytest.raises(InputError, match="model_unknown"), Client(gate.url, "none") as other:
            other.score(events, session="user")

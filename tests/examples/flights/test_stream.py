"""A real server, killed under load, and the check that finds what is wrong with a store."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from check import audit, compare, replay
from stream import Server, Streamed, shares, stream

from tidegate import bundle as bundles
from tidegate import store, tables
from tidegate.bundle import Bundle
from tidegate.tables import EventTable

SESSIONS = [
    *("JFK/AA/2013-11-02", "LGA/B6/2013-11-02", "EWR/ü %2F/2013-11-02", "plain"),
    *(f"more/{k}" for k in range(20)),
]
EVENTS = 600
CLIENTS = 12


@pytest.fixture(scope="module")
def bundle(saved_bundle: Path) -> Bundle:
    return bundles.load(saved_bundle)


@pytest.fixture(scope="module")
def events(bundle: Bundle, random_events) -> pl.DataFrame:
    """Events of a few sessions, with values missing, and with equal times."""
    rng = np.random.default_rng(3)
    columns = random_events(EVENTS, rng)
    columns["wet"] = [None if np.isnan(value) else bool(value) for value in columns["wet"]]
    frame = pl.DataFrame({name: list(values) for name, values in columns.items()}).fill_nan(None)
    minutes = np.sort(rng.integers(0, 300, EVENTS))
    return frame.with_columns(
        pl.Series("session", rng.choice(SESSIONS, EVENTS).tolist()),
        time=pl.lit(1_383_400_000_000).cast(pl.Datetime("ms", "UTC"))
        + pl.duration(minutes=pl.Series(minutes)),
    ).with_columns(seq=pl.int_range(1, pl.len() + 1).over("session"))


@pytest.fixture(scope="module")
def table(bundle: Bundle, events: pl.DataFrame) -> EventTable:
    kinds = {name: field.kind for name, field in bundle.schema.config.fields.items()}
    return tables.read(events, session="session", time="time", fields=kinds)


def run(bundle: Bundle, where: Path, events: pl.DataFrame, kill_after: tuple[int, ...]) -> Streamed:
    assert bundle.path is not None
    server = Server(bundle.path, where / "store", where / "server.log")
    clients = shares(events, bundle.name, bundle.schema.names, CLIENTS)
    return asyncio.run(stream(server, clients, kill_after=kill_after))


@pytest.fixture(scope="module")
def streamed(bundle, events, tmp_path_factory) -> tuple[Streamed, Path]:
    """The whole stream, through two kills."""
    where = tmp_path_factory.mktemp("stream")
    return run(bundle, where, events, (EVENTS // 3, 2 * EVENTS // 3)), where / "store"


def test_a_stream_survives_two_kills(streamed, bundle, table):
    done, folder = streamed
    assert done.journal.continuity_errors == []
    assert len({(answer.session, answer.seq) for answer in done.journal.received}) == EVENTS
    assert len(done.kills) == len({kill.pid for kill in done.kills}) == 2
    assert min(kill.in_flight for kill in done.kills) >= 1
    sent_again = sum(answer.attempts > 1 for answer in done.journal.received)
    assert sent_again == sum(kill.in_flight for kill in done.kills)
    assert done.exit_status == 0
    replayed = replay(bundle, table)
    compared = compare(table, replayed, done.journal.received)
    assert (compared.count, compared.findings) == (EVENTS, [])
    assert audit(folder, bundle, table, replayed) == []


def test_an_answer_that_differs_in_one_bit_is_named(streamed, bundle, table):
    done, _ = streamed
    received = done.journal.received
    wrong = received[7]
    outputs = replay(bundle, table)
    row = table.offsets[table.sessions.index(wrong.session)] + wrong.seq - 1
    answer = outputs.answers[row]
    outputs.answers[row] = answer[:-3] + bytes([answer[-3] ^ 1]) + answer[-2:]
    (finding,) = compare(table, outputs, received).findings
    assert finding.session == wrong.session
    assert f"seq {wrong.seq} " in finding.what


def test_a_corrupt_record_and_a_dropped_commit_are_both_named(bundle, events, table, tmp_path):
    """What a disk, or a store that does not keep its word, could do to two sessions."""
    corrupted, rolled_back, missing, *_ = SESSIONS
    last = events.filter(pl.col("session") == rolled_back)["seq"].max()
    but_one = events.filter((pl.col("session") != rolled_back) | (pl.col("seq") < last))
    assert run(bundle, tmp_path, but_one, ()).journal.continuity_errors == []

    def key(session: str) -> bytes:
        return store.session_key("default", bundle.name, session)

    opened = store.open(tmp_path / "store")
    (earlier,) = opened.get([key(rolled_back)])
    opened.close()
    the_last = events.filter(pl.col("session") == rolled_back, pl.col("seq") == last)
    assert run(bundle, tmp_path, the_last, ()).journal.continuity_errors == []
    replayed = replay(bundle, table)
    assert audit(tmp_path / "store", bundle, table, replayed) == []

    opened = store.open(tmp_path / "store")
    (good,) = opened.get([key(corrupted)])
    assert good is not None
    assert earlier is not None
    middle = len(good) // 2
    bad = good[:middle] + bytes([good[middle] ^ 0x10]) + good[middle + 1 :]
    opened.commit(
        [(key(corrupted), bad), (key(rolled_back), earlier), (key("stranger"), good)],
        deletes=[key(missing)],
    )
    opened.close()

    found: dict[str, list[str]] = {}
    for finding in audit(tmp_path / "store", bundle, table, replayed):
        found.setdefault(finding.session, []).append(finding.what)
    assert set(found) == {corrupted, rolled_back, missing, "stranger"}
    assert len(found[corrupted]) == 1
    assert "damaged" in found[corrupted][0]
    assert found[rolled_back] == [
        f"the record ends with seq {last - 1}, seq {last} was acknowledged",
        f"the encoder state is not the one after seq {last}",
        f"the hidden state is not the one after seq {last}",
    ]
    assert "no record" in found[missing][0]


def test_a_server_that_cannot_start_says_where_to_look(bundle, tmp_path):
    server = Server(tmp_path / "no-bundle", tmp_path / "store", tmp_path / "server.log")
    with pytest.raises(RuntimeError, match=r"server\.log"):
        asyncio.run(server.start())
    assert "no-bundle" in (tmp_path / "server.log").read_text()


def test_the_server_is_gone_when_a_stream_is_interrupted(bundle, events, tmp_path):
    """Ctrl-C in the middle: no process stays behind with the store."""
    assert bundle.path is not None
    server = Server(bundle.path, tmp_path / "store", tmp_path / "server.log")
    clients = shares(events, bundle.name, bundle.schema.names, 2)

    async def interrupted() -> None:
        running = asyncio.current_task()
        assert running is not None
        await stream(server, clients, progress=running.cancel)

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(interrupted())
    store.open(tmp_path / "store").close()  # nobody has it

"""Tables of events, and those that want to be more than they seem."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tidegate.errors import InputError
from tidegate.schema import Schema
from tidegate.serve import arrow

SMALL: dict[str, list[Any]] = {
    "speed": [5.0],
    "load": [3.0],
    "road": ["A1"],
    "wet": [True],
    "driver": ["ann"],
}


@pytest.fixture(scope="module")
def schema(make_bundle: Callable[..., Any]) -> Schema:
    found: Schema = make_bundle().schema
    return found


def stream(columns: dict[str, Any], **options: Any) -> bytes:
    batch = pa.RecordBatch.from_pydict(columns)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema, options=pa.ipc.IpcWriteOptions(**options)) as out:
        out.write_batch(batch)
    return bytes(sink.getvalue().to_pybytes())


def table(size: int = 1, **columns: Any) -> dict[str, Any]:
    usual = {name: values * size for name, values in SMALL.items()}
    return {"session": ["s"] * size, **usual, **columns}


def refused(body: bytes, schema: Schema) -> InputError:
    with pytest.raises(InputError) as caught:
        arrow.read(body, schema)
    return caught.value


def test_what_is_compressed_is_refused_unread(schema: Schema) -> None:
    error = refused(stream(table(), compression="zstd"), schema)
    assert (error.code, error.message) == ("bad_arrow", "the stream is compressed")
    words = pa.DictionaryArray.from_arrays([0], ["A1"])
    assert refused(stream(table(road=words), compression="lz4"), schema).code == "bad_arrow"


def test_rows_are_counted_before_they_are_read(schema: Schema) -> None:
    # Columns of nulls take no bytes: a table of them may have any number of rows.
    assert refused(stream({"session": pa.nulls(2**21)}), schema).code == "too_many_events"


def test_a_message_that_is_cut_is_no_stream(schema: Schema) -> None:
    body = stream(table())
    for end in range(0, len(body) - 8, 7):
        assert refused(body[:end], schema).code == "bad_arrow"


def test_long_ids_are_refused_before_they_are_decoded(schema: Schema) -> None:
    rows = np.zeros(1_000_000, np.int8)

    def named(word: str) -> bytes:
        columns = {name: pa.nulls(len(rows)) for name in SMALL}
        return stream({"session": pa.DictionaryArray.from_arrays(rows, [word]), **columns})

    before = pa.total_allocated_bytes()
    error = refused(named("x" * 4096), schema)
    assert (error.code, error.field) == ("bad_session_id", "session")
    assert "4096 bytes" in error.message
    assert refused(named("x" * 512), schema).code == "too_many_events"
    assert pa.total_allocated_bytes() - before < 2**25
    arrow.read(named("x" * 8), schema)


def test_a_word_that_no_row_uses_is_no_id(schema: Schema) -> None:
    sessions = pa.DictionaryArray.from_arrays([1], ["", "s"])
    [block] = arrow.read(stream(table(session=sessions)), schema)
    assert block.session(0) == "s"


def test_of_a_large_dictionary_a_block_has_what_it_uses(schema: Schema) -> None:
    words = [f"w{i}" for i in range(50_000)]
    roads = pa.DictionaryArray.from_arrays(pa.array([40_000, None, 7, 40_000]), words)
    [block] = arrow.read(stream(table(4, road=roads)), schema)
    indices, used = block.columns["road"]
    assert used == ["w7", "w40000"]
    assert indices.tolist() == [1, -1, 0, 1]
    full = pa.DictionaryArray.from_arrays(pa.array([3, 1]), words)
    [block] = arrow.read(stream(table(2, road=full)), schema)
    assert block.columns["road"][0].tolist() == [1, 0]


def test_blocks_are_made_when_they_are_asked_for(schema: Schema) -> None:
    blocks = arrow.read(stream(table(20_000)), schema)
    assert iter(blocks) is blocks
    assert [block.size for block in blocks] == [8192, 8192, 20_000 - 2 * 8192]


@pytest.mark.parametrize("seq", [0, -1, 2**63 - 1, 2**63, 2**64 - 1])
def test_a_number_that_no_event_can_have_is_refused(schema: Schema, seq: int) -> None:
    kind = pa.uint64() if seq > 2**62 else pa.int64()
    error = refused(stream(table(2, seq=pa.array([1, seq], kind))), schema)
    assert (error.code, error.field) == ("wrong_type", "seq")


@pytest.mark.parametrize("kind", [pa.uint64(), pa.int64()])
def test_the_largest_number_is_read(schema: Schema, kind: Any) -> None:
    seqs = pa.array([2**63 - 2, None], kind)
    [block] = arrow.read(stream(table(2, seq=seqs)), schema)
    assert block.seqs is not None
    assert block.seqs.tolist() == [2**63 - 2, 0]


def test_whole_numbers_are_rounded_as_in_json(schema: Schema) -> None:
    large = [2**53 + 1, -(2**63)]
    [block] = arrow.read(stream(table(2, speed=large)), schema)
    assert block.columns["speed"].tolist() == [float(number) for number in large]
    late = pa.array([2**54 + 1], pa.timestamp("us", tz="UTC"))
    [block] = arrow.read(stream(table(time=late)), schema)
    assert block.times is not None
    assert block.times[0] == 2**54 / 1e6


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_time_is_finite(schema: Schema, value: float) -> None:
    assert refused(stream(table(2, time=[1.0, value])), schema).code == "not_finite"
    arrow.read(stream(table(2, time=[1.0, None])), schema)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("session", [7]),
        ("session", pa.DictionaryArray.from_arrays([0], [7])),
        ("speed", ["fast"]),
        ("wet", [1.0]),
        ("road", [1.5]),
        ("road", pa.DictionaryArray.from_arrays([0], pa.array([1.5]))),
        ("seq", ["1"]),
        ("time", ["now"]),
        ("start", [1]),
    ],
)
def test_a_column_of_a_wrong_type_is_refused(schema: Schema, name: str, values: Any) -> None:
    error = refused(stream(table(**{name: values})), schema)
    assert (error.code, error.field) == ("wrong_type", name)


@pytest.mark.parametrize("kind", ["", "; charset=utf-8"])
def test_a_media_type_is_known_however_it_is_written(server: Any, kind: str) -> None:
    connection = server.connect()
    written = "Application/vnd.Apache.Arrow.Stream" + kind
    body = stream(table(session=["media" + kind]))
    connection.request("POST", "/v1/models/small/events", body, {"content-type": written})
    answer = pa.ipc.open_stream(connection.getresponse().read()).read_all()
    connection.close()
    assert answer["error_code"].to_pylist() == [None]
    assert answer["seq"].to_pylist() == [1]

"""How a table is called: ids, columns, limits, tickets, memory."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from table_model import MODEL, PREFIX, PRINT, SCHEMA, VERSION, Sent, new_table, process, told

from tidegate import core

NOW = 1_700_000_000.0
COLUMNS = {
    "road": np.array(["a", None, "zebra"], object),
    "speed": np.array([1.0, np.nan, -0.0]),
    "driver": np.array(["ann"] * 3, object),
    "poison": np.full(3, np.nan),
}
IDS = ["a", "ü" * 12, "a"]


def arrow(ids: list[str], dtype: Any = np.int32) -> tuple[Any, Any]:
    """Ids as Arrow lays them out."""
    parts = [name.encode() for name in ids]
    offsets = np.cumsum([0] + [len(part) for part in parts]).astype(dtype)
    return offsets, np.frombuffer(b"".join(parts) + b"beyond", np.uint8)


def bare(table: core.Table, ids: Any, columns: Any = COLUMNS, **changed: Any) -> core.Processed:
    arguments: dict[str, Any] = {
        "seqs": None,
        "times": None,
        "received": NOW,
        "flags": None,
        "requests": None,
        "group": None,
        "ticket": 0,
    }
    return table.process(ids, columns=columns, **(arguments | changed))


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_ids_as_arrow_has_them(dtype: Any) -> None:
    said = told(bare(new_table(), IDS))
    table = new_table()
    assert told(bare(table, arrow(IDS, dtype))) == said
    assert [t.seq for t in said] == [1, 1, 2]
    assert len(table) == 2
    assert IDS[1] in table
    assert table.missing(arrow(["x", "a", "x", "y"], dtype)) == [0, 3]
    assert table.missing(arrow([], dtype)) == []


@pytest.mark.parametrize("stride", [1, 2, -1])
def test_columns_of_any_stride_and_coded_categories(stride: int) -> None:
    said = told(bare(new_table(), IDS))

    def spread(column: np.ndarray) -> np.ndarray:
        wide = np.empty(3 * abs(stride), column.dtype)[::stride]
        wide[:] = column
        return wide

    columns: dict[str, Any] = {name: spread(column) for name, column in COLUMNS.items()}
    assert told(bare(new_table(), IDS, columns)) == said
    columns["road"] = (spread(np.array([2, -1, 0], np.int32)), ["zebra", "unused", "a"])
    assert told(bare(new_table(), IDS, columns)) == said
    table = new_table()
    bare(table, ["a"] * 3, columns)
    hashes = [row[1] for row in table.kept("a")]
    bare(other := new_table(), ["a"] * 3)
    assert hashes == [row[1] for row in other.kept("a")]
    typed = [("a", 1.0, "ann", None), (None, None, "ann", None), ("zebra", 0.0, "ann", None)]
    assert hashes == [SCHEMA.payload_hash(event, None) for event in typed]


@pytest.mark.parametrize(
    ("ids", "columns", "changed", "message"),
    [
        (["a", ""], {}, {}, "position 1: an empty id"),
        (["a", "x" * 513], {}, {}, "position 1: an id of 513 bytes"),
        (["\ud800"], {}, {}, "position 0"),
        (arrow(["a", "", "b"]), {}, {}, "position 1: an empty id"),
        (arrow(["a", "b", "x" * 513]), {}, {}, "position 2: an id of 513 bytes"),
        ((np.array([0, 1], np.int32), np.array([255], np.uint8)), {}, {}, "position 0.*UTF-8"),
        ((np.array([0, 2, 1], np.int32), np.zeros(9, np.uint8)), {}, {}, "position 1: offsets"),
        ((np.array([0, 9], np.int64), np.zeros(3, np.uint8)), {}, {}, "position 0: offsets"),
        ((np.array([-1, 1], np.int64), np.zeros(3, np.uint8)), {}, {}, "position 0: offsets"),
        ((np.array([], np.int64), np.zeros(3, np.uint8)), {}, {}, "offsets"),
        (IDS, {"road": COLUMNS["speed"]}, {}, "road"),
        (IDS, {"speed": COLUMNS["road"]}, {}, "speed"),
        (IDS, {"speed": np.zeros(4)}, {}, "speed"),
        (IDS, {"speed": (np.zeros(3, np.int32), ["a"])}, {}, "speed"),
        (IDS, {"road": (np.array([0, 0, 1], np.int32), ["a"])}, {}, "road: has an index"),
        (IDS, {"road": (np.zeros(3, np.int64), ["a"])}, {}, "road"),
        (IDS, {"road": (np.zeros(3, np.int32), [7])}, {}, "road"),
        (IDS, {}, {"seqs": np.zeros(2, np.int64)}, "seqs"),
        (IDS, {}, {"seqs": np.array([1, -1, 1])}, "seqs"),
        (IDS, {}, {"seqs": np.array([1, 2**63 - 1, 1])}, "seqs"),
        (IDS, {}, {"times": np.zeros(2)}, "times"),
        (IDS, {}, {"flags": np.zeros(2, np.uint8)}, "flags"),
        (IDS, {}, {"requests": np.zeros(4, np.int64)}, "requests"),
        (IDS, {}, {"received": float("nan")}, "received"),
        (IDS, {}, {"failed": [(0, "")]}, "position 0"),
    ],
)
def test_bad_calls_change_nothing(ids: Any, columns: Any, changed: Any, message: str) -> None:
    table = new_table()
    with pytest.raises(ValueError, match=message):
        bare(table, ids, COLUMNS | columns, **changed)
    assert len(table) == 0


@pytest.mark.parametrize(
    ("ids", "changed"),
    [
        ({"a", "b", "c"}, {}),
        ("abc", {}),
        ([1, 2, 3], {}),
        (IDS, {"seqs": np.zeros(3)}),
        (IDS, {"flags": np.zeros(3)}),
        (IDS, {"times": [1.0] * 3}),
        ((np.zeros(4), np.zeros(3, np.uint8)), {}),
    ],
)
def test_calls_with_other_types(ids: Any, changed: Any) -> None:
    with pytest.raises(TypeError):
        bare(new_table(), ids, **changed)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"answers": 0}, "answers"),
        ({"ttl_seconds": float("nan")}, "ttl_seconds"),
        ({"tombstone_seconds": -1.0}, "tombstone_seconds"),
    ],
)
def test_bad_limits(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        new_table(**changed)


def test_another_models_parts_are_refused() -> None:
    with pytest.raises(ValueError, match="fingerprint"):
        core.Table(MODEL, SCHEMA.encoder, b"short", VERSION, PREFIX)


def test_an_infinite_time_is_a_fault_of_its_event() -> None:
    table = new_table()
    said = told(process(table, [Sent("a", time=float("inf")), Sent("b")], NOW))
    assert [t.code for t in said] == ["schema_fault", "begin"]
    assert "a" not in table


def test_a_failure_earlier_in_the_request_counts() -> None:
    table = new_table()
    events = [Sent("a", request=1), Sent("a", request=2), Sent("b", request=1)]
    said = told(process(table, events, NOW, failed=[(1, "a"), (1, "other")]))
    assert [t.code for t in said] == ["previous_failed", "begin", "begin"]
    assert said[0].marks == 128


def test_tickets_grow_until_they_are_rolled_back() -> None:
    table = new_table()
    for ticket in (3, 4, 4, 9):
        process(table, [Sent("a"), Sent(f"s{ticket}")], NOW, ticket=ticket)
    with pytest.raises(ValueError, match="ticket"):
        process(table, [Sent("a")], NOW, ticket=8)
    assert table.evict(9, 3) == 1  # s3: the others changed later
    assert table.rollback(4) == 2
    assert "s4" in table
    assert "a" not in table
    process(table, [Sent("a")], NOW, ticket=5)
    assert table.rollback(4) == 1
    assert table.evict(9, 4) == len(table) + 1 == 1


@pytest.mark.parametrize("answers", [4, 20])
def test_memory_is_counted_and_given_back(answers: int) -> None:
    """Few answers lie with their session, many do not."""
    table = new_table(answers=answers)
    names = [f"s{i}" for i in range(300)]
    empty = table.nbytes
    for now in range(6):
        process(table, [Sent(name) for name in names], NOW + now, ticket=now)
    full = table.nbytes
    assert full > empty + 300 * (4 * MODEL.state_size + 4 * 32)
    assert table.live == len(table) == 300
    assert table.evict(300, 99) == 300
    assert len(table) == table.live == 0
    assert table.nbytes <= full - 300 * (4 * MODEL.state_size + 4 * 32)
    process(table, [Sent(name) for name in names], NOW, ticket=99)
    assert table.nbytes <= full


OUT_OF_MEMORY = """
import resource, sys
import numpy as np
from tidegate import core
from tidegate.schema import Field, Schema, SchemaConfig
from tidegate.spec import LayerSpec, ModelSpec

column = np.arange(8.0)
schema = Schema.fit(SchemaConfig({"x": Field("numeric")}), {"x": column}, column, np.array([0, 8]))
spec = ModelSpec(schema.width, (LayerSpec("rnn", 2048),), 1, schema.categories)
weights = {name: np.zeros(shape, np.float32) for name, shape in spec.weight_shapes().items()}
model = core.pack(spec, weights, "fp32")
table = core.Table(model, schema.encoder, bytes(32), "1", b"prefix")

def process(names, ticket):
    columns = {"x": np.ones(len(names))}
    return table.process(names, None, None, 1.7e9, None, None, columns, None, ticket)

process(["kept"], 1)
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (80 << 20), resource.RLIM_INFINITY))
for taken in range(200):
    names = [sys.argv[1].format(taken, i) for i in range(600)]
    try:
        process(names, taken + 2)
    except MemoryError:
        break
else:
    raise AssertionError("there was memory for all")
table.rollback(taken + 1)
assert len(table) == 1 + 600 * taken > 1
resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY,) * 2)
assert (process(names, taken + 2).codes == core.OUTCOMES.index("begin")).all()
assert len(table) == 1 + 600 * (taken + 1)
"""


@pytest.mark.parametrize("name", ["s{} {}", "a session with a long name, {} {}"])
def test_no_memory_left_for_new_sessions_changes_nothing(name: str) -> None:
    subprocess.run([sys.executable, "-c", OUT_OF_MEMORY, name], check=True, timeout=600)


def test_what_had_events_of_late_is_not_evicted_first() -> None:
    table = new_table()
    names = [f"s{i}" for i in range(100)]
    process(table, [Sent(name) for name in names], NOW)
    assert table.evict(1, 0) == 1  # the hand has passed all by now
    [gone] = [name for name in names if name not in table]
    names.remove(gone)
    process(table, [Sent(name) for name in names[10:90:2]], NOW)
    assert table.evict(59, 0) == 59
    assert [name for name in names if name in table] == names[10:90:2]


@pytest.mark.parametrize("grows", [True, False])
def test_changes_that_nobody_calls_durable_cost_no_more_and_more(grows: bool) -> None:
    table = new_table(answers=1)
    sizes = []
    for ticket in range(400):
        process(table, [Sent("a"), Sent(f"b{ticket % 9}")], NOW, ticket=ticket if grows else 7)
        sizes.append(table.nbytes)
    assert sizes[-1] == sizes[100]
    assert table.rollback(398 if grows else 6) == (2 if grows else 10)


def test_a_model_with_threads_says_the_same() -> None:
    from table_model import poisonable

    schema, model = poisonable(threads=2)
    threaded = core.Table(model, schema.encoder, PRINT, VERSION, PREFIX)
    table = new_table()
    events = [Sent(f"s{i % 700}", ("a", float(i), "ann", None)) for i in range(1500)]
    assert told(process(threaded, events, NOW)) == told(process(table, events, NOW))

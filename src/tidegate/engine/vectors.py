"""Test vectors: raw events with the numbers that the model makes of them.

They travel in the bundle. An engine replays them before it serves: if the schema or the arithmetic
of this machine gave other numbers, it would refuse, instead of answering wrongly. The events are
drawn from the baseline's distributions; no real session is in them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypedDict

import msgspec
import numpy as np
from numpy.typing import NDArray

from tidegate.engine.whole import WholeSessions
from tidegate.errors import EngineError, InputError
from tidegate.spec import LOG_SCALES

if TYPE_CHECKING:
    from tidegate.core import Precision
    from tidegate.engine.engine import Backend
    from tidegate.engine.offline import Scorer
    from tidegate.schema import Columns, Schema

__all__ = ["TOLERANCE", "draw", "make", "record", "replay", "tolerance_of"]

TOLERANCE = 1e-5
"""Largest difference allowed in fp32, relative to the larger of 1 and the value."""

_NATIVE = {"fp32": TOLERANCE, "bf16": 2e-2, "int8": 0.0}
"""bf16: up to 5e-3 was seen between instruction sets, in an RNN of random weights."""

_ROUNDED = 0.1
"""Of the reference, from bf16 and int8: up to 2e-2 was seen, in the same."""

_STEPS = 8
"""Largest sums of absolute weights are about 10 in models that learn well: then it is `TOLERANCE`
that counts. One of 57, which a learning rate of 5 had left, differed by 1.5e-5."""

_SESSIONS = 6
_EVENTS = 12
_BEGIN = 1_600_000_000.0


class _Event(TypedDict):
    session: str
    time: float
    event: dict[str, Any]


def draw(schema: Schema, baseline: Mapping[str, Any], seed: int) -> list[_Event]:
    """Draw raw events of a few sessions from a baseline's distributions.

    Parameters
    ----------
    schema : Schema
        Says which fields there are and which may be missing.
    baseline : mapping
        From `tidegate.bundle.baseline.measure`.
    seed : int
        Of the random generator.

    Returns
    -------
    list of dict
        ``{"session", "time", "event"}``, sessions interleaved.
    """
    rng = np.random.default_rng(seed)
    clocks = [_BEGIN + 1000.0 * s for s in range(_SESSIONS)]
    constants: list[dict[str, Any]] = [{} for _ in range(_SESSIONS)]
    events: list[_Event] = []
    for _ in range(_EVENTS):
        for s in range(_SESSIONS):
            event: dict[str, Any] = {}
            for name, field in schema.config.fields.items():
                if name in constants[s]:
                    continue
                value = _draw_value(baseline["features"][name], rng, field.missing != "refuse")
                if field.constant:
                    value = (
                        value
                        if value is not None
                        else _draw_value(baseline["features"][name], rng, may_miss=False)
                    )
                    constants[s][name] = value
                if value is not None:
                    event[name] = value
            events.append({"session": f"vector-{s}", "time": clocks[s], "event": event})
            clocks[s] += _draw_number(baseline["time_delta"], rng)
    return events


def tolerance_of(
    precision: Precision, backend: Backend, weights: Mapping[str, NDArray[Any]]
) -> float:
    """Return the largest difference from a bundle's test vectors that is no error.

    Parameters
    ----------
    precision : {"fp32", "bf16", "int8"}
        Of the bundle.
    backend : {"native", "reference"}
        Of the engine that replays them.
    weights : mapping of str to array
        Of the bundle.

    Returns
    -------
    float
        fp32 sums differ in their last bits, the more the larger their terms are (a learning rate
        far too high leaves such weights), bf16 sums by how a processor rounds, and int8 sums are
        whole numbers: those are reproduced exactly. The reference rounds neither inputs nor states,
        so that of a bf16 or int8 bundle it is only near.
    """
    if backend == "reference" and precision != "fp32":
        return _ROUNDED
    if precision == "fp32":
        return min(max(TOLERANCE, _last_bits(weights)), _NATIVE["bf16"])
    return _NATIVE[precision]


def _last_bits(weights: Mapping[str, NDArray[Any]]) -> float:
    """Return what a few last bits are worth in the largest sum that inputs of 1 make.

    A few, because what one step rounds goes through the weights again in the next.
    """
    sums = [np.abs(matrix).sum(axis=1).max() for matrix in weights.values() if matrix.ndim == 2]
    return float(_STEPS * np.finfo(np.float32).eps * max(sums, default=0.0))


def make(engine: Scorer, baseline: Mapping[str, Any], seed: int) -> dict[str, NDArray[Any]]:
    """Draw events and record what an engine makes of them.

    Parameters
    ----------
    engine : Engine
        Without sessions; the reference engine, when a bundle is made.
    baseline : mapping
        From `tidegate.bundle.baseline.measure`.
    seed : int
        Of the random generator.

    Returns
    -------
    dict of str to array
        As from `record`.
    """
    events = draw(engine.schema, baseline, seed)
    return record(engine, np.frombuffer(msgspec.json.encode(events), dtype=np.uint8))


def record(engine: Scorer, events: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
    """Record what an engine makes of the events of test vectors.

    Parameters
    ----------
    engine : Engine
        Without sessions; afterwards it holds those of the vectors.
    events : uint8 array
        JSON in UTF-8: a list as from `draw`.

    Returns
    -------
    dict of str to array
        ``events``, ``outputs`` (events, answer_size), ``encoder`` and ``hidden`` (the sessions'
        states after their last event; hidden ones of no columns, if the model cannot stream).

    Raises
    ------
    EngineError
        ``vectors_mismatch``: the events cannot be read, or the engine refuses one.
    """
    try:
        drawn = msgspec.json.decode(events.tobytes(), type=list[_Event])
        outputs, encoder, hidden = _walk(engine, drawn)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _mismatch("events", f"cannot be read: {error}") from error
    except InputError as error:
        raise _mismatch("events", f"were refused: {error}") from error
    return {
        "events": events,
        "outputs": outputs,
        "encoder": encoder,
        "hidden": hidden,
    }


def replay(
    engine: Scorer, vectors: Mapping[str, NDArray[Any]], tolerance: float = TOLERANCE
) -> None:
    """Feed a bundle's test vectors to an engine and compare.

    Parameters
    ----------
    engine : Engine
        Without sessions; afterwards it holds those of the vectors.
    vectors : mapping of str to array
        From `make`.
    tolerance : float
        Largest difference allowed of outputs and hidden states, relative to the larger of 1 and the
        value; above `TOLERANCE`, the largest value. What the encoder remembers does not depend on
        the model's precision: it is held to `TOLERANCE` at least.

    Raises
    ------
    EngineError
        ``vectors_mismatch``: the largest difference is above that, or the events are none of this
        schema.
    """
    found = record(engine, vectors["events"])
    for name in ("outputs", "encoder", "hidden"):
        array, wanted = found[name], vectors[name]
        allowed = min(tolerance, TOLERANCE) if name == "encoder" else tolerance
        if name == "outputs" and engine.spec.readout == "surprise":
            allowed *= math.exp(LOG_SCALES[1])  # a mean's error is divided by the scale
        if array.shape != wanted.shape:
            raise _mismatch(name, f"shape {array.shape} is not the bundle's {wanted.shape}")
        if name == "outputs" and engine.spec.readout == "top":
            array, wanted = _paired(array, wanted)
        with np.errstate(invalid="ignore"):  # an infinity gives NaN, which counts as a mismatch
            scale = np.maximum(1.0, np.abs(wanted))
            if allowed > TOLERANCE:  # what rounding does grows with the largest terms of a sum
                scale = scale.max(initial=1.0)
            difference = np.abs(array.astype(np.float64) - wanted) / scale
        # A NaN (nothing yet) equals a NaN, and nothing else.
        difference[np.isnan(array) & np.isnan(wanted)] = 0.0
        worst = float(np.max(np.nan_to_num(difference, nan=np.inf), initial=0.0))
        if worst > allowed:
            raise _mismatch(name, f"differ by {worst:.2g}, {allowed:g} is allowed")


def _paired(
    found: NDArray[np.float32], wanted: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the scores of largest outputs, by rank and by index, so that near ones may change.

    An index that is not wanted at all is taken for the last one.
    """
    (scores, indices), (its_scores, its_indices) = (np.split(x, 2, axis=1) for x in (found, wanted))
    same = indices[:, :, None] == its_indices[:, None, :]
    rank = np.where(same.any(axis=2), same.argmax(axis=2), scores.shape[1] - 1)
    by_index = np.take_along_axis(its_scores, rank, axis=1)
    return np.tile(scores, 2), np.concatenate([its_scores, by_index], axis=1)


def _walk(
    engine: Scorer, events: Sequence[_Event]
) -> tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.float32]]:
    if not events:
        raise _mismatch("events", "are none")
    sessions = [event["session"] for event in events]
    typed = [engine.schema.type_event(event["event"]) for event in events]
    times = np.array([event["time"] for event in events], dtype=np.float64)
    columns = engine.schema.stack(typed)
    if isinstance(engine, WholeSessions):
        return _score(engine, sessions, columns, times)
    stepped = engine.step_events(sessions, columns, times)
    if stepped.errors:
        raise next(iter(stepped.errors.values()))
    states = [engine.export_state(session) for session in dict.fromkeys(sessions)]
    return (
        stepped.outputs,
        np.stack([state.encoder for state in states]),
        np.stack([state.hidden for state in states]),
    )


def _score(
    whole: WholeSessions, sessions: Sequence[str], columns: Columns, times: NDArray[np.float64]
) -> tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.float32]]:
    """Score sessions whose events come mixed up; the outputs are in the order of the events."""
    names = list(dict.fromkeys(sessions))
    numbers = np.array([names.index(session) for session in sessions])
    order = np.argsort(numbers, kind="stable")
    offsets = np.concatenate([[0], np.cumsum(np.bincount(numbers))])
    sorted_columns = {name: column[order] for name, column in columns.items()}
    encoded = whole.schema.encode(sorted_columns, times[order], offsets)
    outputs = np.empty((len(sessions), whole.spec.answer_size), dtype=np.float32)
    for name, begin, end in zip(names, offsets[:-1], offsets[1:], strict=True):
        outputs[order[begin:end]] = whole.run(encoded.rows[begin:end], name)
    return outputs, encoded.states, np.empty((len(names), 0), dtype=np.float32)


def _draw_value(feature: Mapping[str, Any], rng: np.random.Generator, may_miss: bool) -> Any:
    known = _known(feature)
    if may_miss and rng.random() * (known + feature["missing"]) < feature["missing"]:
        return None
    if feature["kind"] == "numeric":
        return _draw_number(feature, rng)
    if feature["kind"] == "boolean":
        false, true = feature["counts"]
        return bool(rng.random() * max(false + true, 1) < true)
    values = [*feature["counts"], "a value of no vocabulary"]
    weights = np.array([*feature["counts"].values(), max(feature["other"], known * 0.01, 1.0)])
    return values[rng.choice(len(values), p=weights / weights.sum())]


def _known(feature: Mapping[str, Any]) -> float:
    counts = feature["counts"]
    if feature["kind"] == "category":
        return float(sum(counts.values()) + feature["other"])
    return float(sum(counts))


def _draw_number(histogram: Mapping[str, Any], rng: np.random.Generator) -> float:
    edges, counts = histogram["edges"], np.array(histogram["counts"], dtype=np.float64)
    if counts.sum() == 0:
        return 0.0
    k = rng.choice(len(counts), p=counts / counts.sum())
    return float(rng.uniform(edges[k], edges[k + 1]))


def _mismatch(field: str, what: str) -> EngineError:
    return EngineError(
        "vectors_mismatch",
        f"the bundle's test vectors are not reproduced here: {field} {what}",
        field=field,
        hint="do not serve it here; make it again, or report this with the machine's details",
    )

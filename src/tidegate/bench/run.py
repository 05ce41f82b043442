"""Time tidegate beside its peers: rounds that take turns, medians of rounds."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import cast

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from tidegate import core
from tidegate.bench import ours, peers
from tidegate.bench.cases import Case
from tidegate.bench.contestant import Contestant, draw_inputs, draw_weights
from tidegate.bench.results import Row, Settings, Timing, significant
from tidegate.bench.roofline import roof_seconds, strongest, weight_bytes
from tidegate.errors import EngineError, InputError

__all__ = ["TOLERANCES", "Entry", "check_agreement", "entries", "run_case"]

TOLERANCES = {"fp32": 1e-4, "bf16": 2e-2, "int8": 5e-2}
"""How far a state may be from torch's, by precision, for a timing to count."""

_AGREEMENT_CALLS = 32
_TORCH = "torch module", "torch cell"
_ONNX = "onnxruntime run", "onnxruntime bound"


class Entry(msgspec.Struct, frozen=True):
    """One way of tidegate: kernel or engine, in a precision, on an instruction set."""

    entry: str
    precision: str
    isa: str

    def __str__(self) -> str:
        return f"{self.entry} {self.precision} {self.isa}"


def entries(precisions: Sequence[str] = (), isas: Sequence[str] = ()) -> list[Entry]:
    """List the entries of a run.

    Parameters
    ----------
    precisions : sequence of str
        Empty: all that the core has.
    isas : sequence of str
        Empty: the one that the core uses unless told.

    Raises
    ------
    InputError
        ``unknown_precision``, ``unknown_isa``: the core, or this processor, does not have it.
    """
    _refuse_unknown("precision", precisions, ours.PRECISIONS)
    _refuse_unknown("isa", isas, core.isas())
    return [
        Entry(entry, precision, isa)
        for isa in isas or (core.isa(),)
        for precision in precisions or ours.PRECISIONS
        for entry in ("kernel", "engine")
    ]


def run_case(
    case: Case, wanted: Sequence[Entry], settings: Settings
) -> tuple[list[Row], list[Timing]]:
    """Check that all contestants agree in a case, then time them.

    Parameters
    ----------
    case : Case
        The model and the batch.
    wanted : sequence of Entry
        Of tidegate; the kernel of every precision and instruction set among them.
    settings : Settings
        Rounds, and seconds of each contestant in each.

    Returns
    -------
    rows : list of Row
        One for each entry; in a case with `sessions` the engine's alone.
    timings : list of Timing
        One for each contestant.

    Raises
    ------
    EngineError
        ``contestants_differ``: then nothing is timed.
    """
    threads, isa = torch.get_num_threads(), core.isa()
    torch.set_num_threads(settings.threads)
    try:
        contestants = _contestants(case, wanted)
        tolerances = {str(each): TOLERANCES[each.precision] for each in wanted}
        check_agreement(contestants, tolerances)
        for contestant in contestants.values():
            if case.sessions and isinstance(contestant, ours.EngineEntry):
                contestant.crowd(case.sessions)
        times, roofs = _rounds(case, contestants, wanted, settings)
    finally:
        torch.set_num_threads(threads)
        core.use_isa(isa)
    medians = {name: float(np.median(found)) for name, found in times.items()}
    rows = [
        _row(case, each, medians, roofs[each.precision])
        for each in wanted
        if each.entry == "engine" or not case.sessions
    ]
    return rows, [_timing(case, name, found) for name, found in times.items()]


def check_agreement(contestants: Mapping[str, Contestant], tolerances: Mapping[str, float]) -> None:
    """Refuse contestants that do not compute the same.

    Each takes the same steps from zero states; every state is compared with the first
    contestant's.

    Parameters
    ----------
    contestants : mapping of str to Contestant
        Fresh ones.
    tolerances : mapping of str to float
        By contestant; those not named: as for fp32.

    Raises
    ------
    EngineError
        ``contestants_differ``, naming the first that differs and by how much.
    """
    wanted: NDArray[np.float32] | None = None
    for name, contestant in contestants.items():
        contestant.run(_AGREEMENT_CALLS)
        states = contestant.states()
        if wanted is None:
            wanted = states
        far = float(np.abs(states - wanted).max())
        tolerance = tolerances.get(name, TOLERANCES["fp32"])
        if not far <= tolerance:  # NaN is not
            raise EngineError(
                "contestants_differ",
                f"{name!r} is {far:.2g} from {next(iter(contestants))!r}, more than {tolerance:g}",
                field=name,
                hint="nothing was timed: only equal results are worth a comparison",
            )


def _contestants(case: Case, wanted: Sequence[Entry]) -> dict[str, Contestant]:
    """Build all contestants of a case; torch's module is first: others are compared with it."""
    spec = case.spec
    weights, inputs = draw_weights(spec), draw_inputs(spec, case.batch)
    contestants: dict[str, Contestant] = {
        "torch module": peers.TorchModule(spec, weights, inputs),
        "torch cell": peers.TorchCell(spec, weights, inputs),
        "onnxruntime run": peers.OnnxRun(spec, weights, inputs),
        "onnxruntime bound": peers.OnnxBound(spec, weights, inputs),
    }
    for each in wanted:
        model = core.pack(spec, weights, cast(core.Precision, each.precision))
        contestants[str(each)] = (
            ours.KernelEntry(model, inputs, each.isa)
            if each.entry == "kernel"
            else ours.EngineEntry(spec, model, inputs, each.isa)
        )
    return contestants


def _rounds(
    case: Case,
    contestants: Mapping[str, Contestant],
    wanted: Sequence[Entry],
    settings: Settings,
) -> tuple[dict[str, list[float]], dict[str, float]]:
    """Return each contestant's seconds a call, by round, and the roof of each precision.

    The order is drawn anew in every round. The roof is measured in each round as well: on a machine
    whose speed drifts, it drifts with the rest.
    """
    ways = {each.precision: strongest(each.precision) for each in wanted}
    roofs: dict[str, list[float]] = {precision: [] for precision in ways}
    times: dict[str, list[float]] = {name: [] for name in contestants}
    calls = {name: _calls(each.run, settings.seconds) for name, each in contestants.items()}
    names = list(contestants)
    rng = np.random.default_rng(0)
    for _ in range(settings.rounds):
        for place in rng.permutation(len(names)).tolist():
            name = names[place]
            began = time.perf_counter()
            contestants[name].run(calls[name])
            times[name].append((time.perf_counter() - began) / calls[name])
        for precision, way in ways.items():
            gops = core.peak_gops(*way)
            gbps = core.read_gbps(weight_bytes(case.spec, precision))
            roofs[precision].append(roof_seconds(case.spec, case.batch, precision, gops, gbps))
    return times, {precision: float(np.median(found)) for precision, found in roofs.items()}


def _calls(run: Callable[[int], None], seconds: float) -> int:
    """Find how many calls, an even number, take about so many seconds."""
    for calls in _doubling():
        began = time.perf_counter()
        run(calls)
        took = time.perf_counter() - began
        if took >= seconds / 4:
            return max(2, round(calls * seconds / took / 2) * 2)
    raise AssertionError("doubling ends")


def _doubling() -> Iterator[int]:
    calls = 2
    while True:
        yield calls
        calls *= 2


def _row(case: Case, entry: Entry, medians: Mapping[str, float], roof: float) -> Row:
    ours_s = medians[str(entry)]
    torch_s = min(medians[name] for name in _TORCH)
    onnx_s = min(medians[name] for name in _ONNX)
    kernel_s = medians[str(msgspec.structs.replace(entry, entry="kernel"))]
    return Row(
        entry="kernel" if entry.entry == "kernel" else "engine",
        cell=case.cell,
        input_size=case.input_size,
        hidden_size=case.hidden_size,
        layers=case.layers,
        batch=case.batch,
        precision=entry.precision,
        isa=entry.isa,
        us_per_step=significant(ours_s * 1e6),
        torch_us=significant(torch_s * 1e6),
        onnxruntime_us=significant(onnx_s * 1e6),
        ratio_torch=significant(torch_s / ours_s),
        ratio_onnxruntime=significant(onnx_s / ours_s),
        roofline_fraction=significant(roof / ours_s),
        sessions=case.sessions,
        times_kernel=significant(ours_s / kernel_s) if case.sessions else None,
    )


def _timing(case: Case, name: str, seconds: Sequence[float]) -> Timing:
    first, median, third = np.percentile(np.array(seconds) * 1e6, [25, 50, 75]).tolist()
    return Timing(str(case), name, significant(median), significant(first), significant(third))


def _refuse_unknown(option: str, wanted: Sequence[str], known: Sequence[str]) -> None:
    for each in wanted:
        if each not in known:
            raise InputError(
                f"unknown_{option}",
                f"{each!r} is not among what runs here",
                field=f"--{option}",
                hint=f"use {', '.join(known)}",
            )

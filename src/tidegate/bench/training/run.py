"""Time a layer's training beside its peers: rounds that take turns, medians of rounds."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, cast

import msgspec
import numpy as np
import torch
from torch import Tensor

from tidegate import core
from tidegate.bench.results import Settings, significant
from tidegate.bench.training.cases import Case, Variant
from tidegate.bench.training.contestants import (
    Contestant,
    LayerEntry,
    LoopEntry,
    TorchCellLoop,
    TorchLayer,
    draw_inputs,
    draw_lengths,
    draw_weights,
)
from tidegate.bench.training.memory import kept_bytes
from tidegate.bench.training.results import Row, Timing
from tidegate.errors import EngineError
from tidegate.spec import GATES

if TYPE_CHECKING:
    from tidegate.nn.layer import Path

__all__ = ["TOLERANCES", "Judged", "check_agreement", "run_case"]

TOLERANCES = {"fp32": 1e-4, "bf16": 2e-1}
"""How far outputs may be from the truth, and gradients relative to their largest, to be timed."""

_SEED = 1
_AGREEMENT_STEPS = 8


class Judged(NamedTuple):
    """A contestant, and whose outputs and gradients it must have."""

    contestant: Contestant
    truth: Contestant
    tolerance: float


def run_case(
    case: Case, wanted: Sequence[Variant], settings: Settings
) -> tuple[list[Row], list[Timing]]:
    """Check that all contestants agree in a case, then time them.

    Parameters
    ----------
    case : Case
        Cell and sizes.
    wanted : sequence of Variant
        What there is to be a row of. What their ratios need is timed with them.
    settings : Settings
        Rounds, seconds of each contestant in each, and threads.

    Returns
    -------
    rows : list of Row
        One for each variant.
    timings : list of Timing
        One for each contestant.

    Raises
    ------
    EngineError
        ``contestants_differ``: then nothing is timed.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(settings.threads)
    try:
        timed = _with_companions(wanted)
        contestants = _contestants(case, timed)
        check_agreement(_judged(case, timed, contestants))
        times = _rounds(contestants, settings)
        kept = {name: _kept_mb(each) for name, each in contestants.items()}
    finally:
        torch.set_num_threads(threads)
    timings = {name: _timing(case, name, found, kept[name]) for name, found in times.items()}
    rows = [
        _row(case, variant, cast(LayerEntry, contestants[str(variant)]).path, timings)
        for variant in wanted
    ]
    return rows, list(timings.values())


def check_agreement(judged: Mapping[str, Judged]) -> None:
    """Refuse contestants that compute something else.

    Each takes one step from the same draws; its outputs, and the gradient of the recurrent weights
    relative to its largest number, are compared.

    Parameters
    ----------
    judged : mapping of str to Judged
        By name.

    Raises
    ------
    EngineError
        ``contestants_differ``, naming the first that differs and by how much.
    """
    truths: dict[Contestant, tuple[Tensor, Tensor]] = {}
    for name, (contestant, truth, tolerance) in judged.items():
        if truth not in truths:
            truths[truth] = _computed(truth)
        (y, gradient), (y_found, found) = truths[truth], _computed(contestant)
        far = max(
            float((y_found - y).abs().max()),
            float((found - gradient).abs().max() / gradient.abs().max()),
        )
        if not far <= tolerance:  # NaN is not
            raise EngineError(
                "contestants_differ",
                f"{name!r} is {far:.2g} from what it should be, more than {tolerance:g}",
                field=name,
                hint="nothing was timed: only equal results are worth a comparison",
            )


def _computed(contestant: Contestant) -> tuple[Tensor, Tensor]:
    """Return outputs and the recurrent weights' gradients of one step, in float64."""
    torch.manual_seed(_SEED)
    contestant.module.zero_grad(set_to_none=True)
    y = contestant.forward()
    y.sum().backward()  # type: ignore[no-untyped-call]
    gradients = [cast(Tensor, weights.grad).double() for weights in contestant.recurrent]
    return y.detach().double(), torch.cat(gradients)


def _with_companions(wanted: Iterable[Variant]) -> list[Variant]:
    """Add what rows are compared with: the plain and the padded variants."""
    found = {Variant(): None}
    for variant in wanted:
        plain = msgspec.structs.replace(variant, options="plain")
        found |= dict.fromkeys((variant, plain, msgspec.structs.replace(variant, lengths="full")))
    return list(found)


def _contestants(case: Case, variants: Sequence[Variant]) -> dict[str, Contestant]:
    """Build all contestants of a case: torch's layers, then loops and layers of tidegate."""
    x, lengths = draw_inputs(case), draw_lengths(case)
    cases = [msgspec.structs.replace(case, cell=cell) for cell in GATES]
    weights = {each.cell: draw_weights(each) for each in cases}
    contestants: dict[str, Contestant] = {}
    for both in dict.fromkeys("bidirectional" in variant.names for variant in variants):
        for each in cases:
            peer = TorchLayer(each, x, weights[each.cell], bidirectional=both)
            contestants[_torch(each.cell, both=both)] = peer
    own = weights[case.cell]
    for variant in variants:
        loop = Variant(_computes(variant))
        if _loop(variant) not in contestants:
            contestants[_loop(variant)] = (
                TorchCellLoop(case, x, own)
                if loop == Variant()
                else LoopEntry(case, loop, x, lengths, own)
            )
        contestants[str(variant)] = LayerEntry(case, variant, x, lengths, own)
    return contestants


def _judged(
    case: Case, variants: Sequence[Variant], contestants: Mapping[str, Contestant]
) -> dict[str, Judged]:
    """Say who must compute what.

    The plain layer must equal torch's over the whole case. All others are compared over its first
    steps: with some options and random weights, what differs in the last bit grows with each step.
    """
    exact, plain = TOLERANCES["fp32"], str(Variant())
    torchs = contestants[_torch(case.cell, both=False)]
    judged = {f"{plain}, whole": Judged(contestants[plain], torchs, exact)}
    short = msgspec.structs.replace(case, time=min(case.time, _AGREEMENT_STEPS))
    x, lengths, weights = draw_inputs(short).double(), draw_lengths(short), draw_weights(short)
    truths: dict[Variant, Contestant] = {}

    def truth(variant: Variant) -> Contestant:
        key = Variant(_computes(variant), lengths=variant.lengths)
        if key not in truths:
            truths[key] = LoopEntry(short, key, x, lengths, weights)
        return truths[key]

    shortened = _contestants(short, variants)
    for variant in variants:
        both = "bidirectional" in variant.names
        peer = _torch(case.cell, both=both)
        judged[peer] = Judged(
            shortened[peer], truth(Variant("bidirectional" if both else "plain")), exact
        )
        loop, padded = _loop(variant), msgspec.structs.replace(variant, lengths="full")
        judged[loop] = Judged(shortened[loop], truth(padded), exact)
        tolerance = TOLERANCES[variant.precision]
        judged[str(variant)] = Judged(shortened[str(variant)], truth(variant), tolerance)
    return judged


def _torch(cell: str, *, both: bool) -> str:
    """Return the name of torch's layer, of one direction or both."""
    return f"torch {cell.upper()}{' bidirectional' if both else ''}"


def _loop(variant: Variant) -> str:
    """Return the name of the loop that does what a variant does."""
    return f"loop {_computes(variant)}"


def _computes(variant: Variant) -> str:
    """Return the options that change what is computed or returned."""
    return "+".join(name for name in variant.names if name != "recompute") or "plain"


def _rounds(
    contestants: Mapping[str, Contestant], settings: Settings
) -> dict[str, list[tuple[float, float]]]:
    """Return each contestant's seconds by round: of a forward pass, and of a whole step.

    The order is drawn anew in every round.
    """
    names = list(contestants)
    steps = {name: _steps(each, settings.seconds) for name, each in contestants.items()}
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    rng = np.random.default_rng(0)
    for _ in range(settings.rounds):
        for place in rng.permutation(len(names)).tolist():
            name = names[place]
            times[name].append(_timed(contestants[name], steps[name]))
    return times


def _steps(contestant: Contestant, seconds: float) -> int:
    """Find how many steps take about so many seconds; the first one warms up."""
    _timed(contestant, 1)
    return max(1, round(seconds / _timed(contestant, 1)[1]))


def _timed(contestant: Contestant, steps: int) -> tuple[float, float]:
    """Return the seconds of a forward pass and of a step, means of some steps."""
    forward = 0.0
    began = time.perf_counter()
    for _ in range(steps):
        forward += _step(contestant)
    return forward / steps, (time.perf_counter() - began) / steps


def _step(contestant: Contestant) -> float:
    """Take a step, what it kept freed again; return the seconds of its forward pass."""
    contestant.module.zero_grad(set_to_none=True)
    began = time.perf_counter()
    y = contestant.forward()
    forward = time.perf_counter() - began
    y.sum().backward()  # type: ignore[no-untyped-call]
    return forward


def _kept_mb(contestant: Contestant) -> float:
    besides = (contestant.x, *contestant.module.parameters())
    return significant(kept_bytes(contestant.forward, besides) / 1e6)


def _timing(
    case: Case, name: str, seconds: Sequence[tuple[float, float]], kept_mb: float
) -> Timing:
    forward, step = (np.array(each) * 1e3 for each in zip(*seconds, strict=True))
    first, median, third = np.percentile(step, [25, 50, 75]).tolist()
    return Timing(
        str(case),
        name,
        forward_ms=significant(float(np.median(forward))),
        step_ms=significant(median),
        first_quartile_ms=significant(first),
        third_quartile_ms=significant(third),
        kept_mb=kept_mb,
    )


def _row(case: Case, variant: Variant, path: Path, timings: Mapping[str, Timing]) -> Row:
    ours = timings[str(variant)]
    both = "bidirectional" in variant.names
    peers = {cell: timings[_torch(cell, both=both)] for cell in GATES}
    loop, step_ms = timings[_loop(variant)].step_ms, ours.step_ms
    plain = timings[str(msgspec.structs.replace(variant, options="plain"))].step_ms
    padded = timings[str(msgspec.structs.replace(variant, lengths="full"))].step_ms
    figures = {}
    for cell, peer in peers.items():
        figures[f"torch_{cell}_ms"] = peer.step_ms
        figures[f"ratio_torch_{cell}"] = significant(peer.step_ms / step_ms)
        figures[f"torch_{cell}_kept_mb"] = peer.kept_mb
    return Row(
        cell=case.cell,
        path=path,
        options=variant.options,
        precision=variant.precision,
        lengths=variant.lengths,
        isa=core.isa(),
        batch=case.batch,
        time=case.time,
        input_size=case.input_size,
        hidden_size=case.hidden_size,
        forward_ms=ours.forward_ms,
        step_ms=step_ms,
        loop_ms=loop,
        ratio_loop=significant(loop / step_ms),
        ratio_plain=significant(step_ms / plain),
        padded_ms=padded if variant.lengths == "ragged" else None,
        kept_mb=ours.kept_mb,
        **figures,
    )

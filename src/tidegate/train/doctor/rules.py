"""The diagnoses: each looks at a run and says what is wrong, if it is.

Where a number can be large for good reasons, it must come with harm: a gradient that vanishes, say,
with a loss that shows that something was not learned.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import fmean

from tidegate.findings import Finding, worst_first
from tidegate.train.doctor import limits
from tidegate.train.doctor.evidence import (
    growth,
    largest_rise,
    last_diagnosis,
    later_half,
    peak_update,
    reach,
    unlearned,
    usual_length,
)
from tidegate.train.doctor.run import Run

__all__ = ["examine"]


def examine(run: Run) -> list[Finding]:
    """Name what is wrong with a run, worst first; nothing, if it is healthy.

    Parameters
    ----------
    run : Run
        From `read`, `of_bundle` or `of_fit`.

    References
    ----------
    Y. Bengio, P. Simard, P. Frasconi, "Learning long-term dependencies with gradient descent is
    difficult", 1994. Y. LeCun, L. Bottou, G. Orr, K.-R. Müller, "Efficient BackProp", 1998.
    L. Prechelt, "Early stopping - but when?", 1998. R. Pascanu, T. Mikolov, Y. Bengio, "On the
    difficulty of training recurrent neural networks", 2013. A. Karpathy, J. Johnson, L. Fei-Fei,
    "Visualizing and understanding recurrent networks", 2016. L. N. Smith, "Cyclical learning rates
    for training neural networks", 2017.
    """
    findings = [finding for rule in CAUSES if (finding := rule(run)) is not None]
    if not findings:  # else that is why
        findings = [finding for rule in SYMPTOMS if (finding := rule(run)) is not None]
    return worst_first(findings)


def not_finite(run: Run) -> Finding | None:
    """Find where a NaN or an infinity came from."""
    skipped = sum(epoch.bad_batches for epoch in run.history)
    count = max(skipped, len(run.bad_batches))
    if count == 0:
        return None
    evidence = f"batches skipped: {count}"
    if not run.bad_batches:
        return Finding("not_finite", "serious", evidence, _DESCRIBED)
    first = run.bad_batches[0]
    source = "" if first.source is None else f", first at {first.source}"
    evidence += (
        f"; batch {first.batch} of epoch {first.epoch}: its {first.what} is not finite{source}"
    )
    if not first.suspects:
        return Finding("not_finite", "serious", evidence, _DESCRIBED)
    suspect = first.suspects[0]
    name = suspect.name or f"column {suspect.column}"
    where = f"{name} at event {suspect.event} of session {suspect.id or suspect.index}"
    if not suspect.finite_inputs:
        next_step = f"clean {name}, or see why its encoded value is not finite"
        return Finding("not_finite", "serious", f"{evidence}; {where}", next_step)
    largest = suspect.largest or 0.0
    evidence += f"; largest input {largest:.3g}: {where}"
    next_step = (
        f'scale {name} ("standard", "log1p"), or clean that value'
        if largest >= limits.OUTLYING
        else f"lower learning_rate, {first.learning_rate:.3g} then, to a third, or clip_norm; "
        "layer_norm = true bounds the layers"
    )
    return Finding("not_finite", "serious", evidence, next_step)


_DESCRIBED = "look at NAME.bad_batches.json, which the run wrote beside the bundle's folder"


def exploding_gradients(run: Run) -> Finding | None:
    """Find gradients that grow through time."""
    for epoch in run.history:
        if epoch.diagnosis is None or epoch.gradient_norm_max < limits.EXPLODED:
            continue
        for index, layer in enumerate(epoch.diagnosis.layers):
            grown, at = growth(layer)
            if grown >= limits.GROWN:
                return Finding(
                    "exploding_gradients",
                    "serious",
                    f"epoch {epoch.epoch}: a gradient of norm {epoch.gradient_norm_max:.3g}; that "
                    f"of layers.{index} is {grown:.3g} times as large {epoch.diagnosis.lags[at]} "
                    "events before the loss as at it"
                    if math.isfinite(grown)
                    else f"epoch {epoch.epoch}: a gradient of norm {epoch.gradient_norm_max:.3g}; "
                    f"through layers.{index} it is not finite",
                    'lower clip_norm; cell = "gru" or "lstm" instead of "rnn"; shorter chunks '
                    '(mode = "lanes")',
                )
    return None


def vanishing_gradients(run: Run) -> Finding | None:
    """Find gradients that do not come far, in a run that learned little."""
    diagnosis, share = last_diagnosis(run), unlearned(run)
    if diagnosis is None or share is None or share < limits.LEARNED_LITTLE:
        return None
    lag, sure = reach(diagnosis.lags, diagnosis.layers[0], limits.MATTERS)
    if not sure or diagnosis.lags[-1] < limits.VANISHES_FROM:
        return None
    norms = [norm or 0.0 for norm in diagnosis.layers[0].by_lag]
    cells = {"rnn"} if run.given is None else {layer.cell for layer in run.given.spec.layers}
    gated = 'cell = "gru" or "lstm", and ' if "rnn" in cells else ""
    return Finding(
        "vanishing_gradients",
        "warning",
        f"the gradient at the input falls from {norms[0]:.2g} at the labelled event to "
        f"{norms[-1]:.2g} {diagnosis.lags[-1]} events before; beyond {lag} events it is below "
        f"{limits.MATTERS:g} of its peak, and the loss is {share:.0%} of a constant answer's",
        f'{gated}init = "chrono" with longest = how far back the cause lies',
    )


def saturated_gates(run: Run) -> Finding | None:
    """Find gates that no gradient passes."""
    diagnosis, share = last_diagnosis(run), unlearned(run)
    if diagnosis is None or run.given is None:
        return None
    found = []
    for index, (layer, spec) in enumerate(
        zip(diagnosis.layers, run.given.spec.layers, strict=True)
    ):
        if spec.cell == "rnn" and spec.activation == "relu":
            continue  # its end is 0, which is its work: see dead_units
        for name, (low, high) in layer.saturated.items():
            gate = name.rpartition(".")[2]
            candidate = gate in "ngh"
            # z, f and i may stay at an end where much is to be kept: chrono begins them there.
            stuck = gate in "zfi" and (share or 0.0) >= limits.LEARNED_NOTHING
            closed = gate == "o" and low >= limits.SATURATED
            switch = min(low, high) >= limits.SWITCHED
            if low + high >= limits.SATURATED and (candidate or stuck or closed or switch):
                found.append(f"layers.{index}.{name} {low:.0%} low, {high:.0%} high")
    if not found:
        return None
    return Finding(
        "saturated_gates",
        "warning",
        f"values at the ends: {'; '.join(found)}",
        "lower learning_rate; see that inputs are scaled; layer_norm = true, or weight_decay",
    )


def dead_units(run: Run) -> Finding | None:
    """Find layers with many units that say nothing."""
    diagnosis = last_diagnosis(run)
    layers = () if diagnosis is None else diagnosis.layers
    found = [
        f"{layer.dead} of {layer.units} units of layers.{index}"
        for index, layer in enumerate(layers)
        if layer.dead >= limits.DEAD * layer.units
    ]
    if not found:
        return None
    return Finding(
        "dead_units",
        "warning",
        f"the same at every event: {', '.join(found)}",
        'lower learning_rate; of an RNN, activation = "tanh" instead of "relu"; a smaller '
        "hidden_size, if the metrics are good",
    )


def clipped_always(run: Run) -> Finding | None:
    """Find a clip threshold that sets the length of every step."""
    epochs = [epoch.clipping for epoch in later_half(run.history)]
    if not epochs or fmean(c.share for c in epochs) < limits.CLIPPED:
        return None
    ratio = fmean(c.ratio_mean for c in epochs)
    if ratio < limits.CLIPPED_BY:
        return None
    norm = fmean(epoch.gradient_norm for epoch in later_half(run.history))
    return Finding(
        "clipped_always",
        "warning",
        f"{fmean(c.share for c in epochs):.0%} of the steps of the later epochs were clipped, "
        f"from {ratio:.3g} times the threshold on average",
        f"clip_norm = {norm:.2g}, the usual norm, and learning_rate lower by as much; if the "
        "norm is large throughout, see that inputs and targets are scaled",
    )


def learning_rate_too_high(run: Run) -> Finding | None:
    """Find steps that are too long for the loss to fall."""
    moved, share = peak_update(run.history), unlearned(run)
    rose = largest_rise([epoch.train_loss for epoch in run.history])
    worse = share is not None and share > 1
    if moved is None or moved < limits.RESTLESS or not (rose >= limits.ROSE or worse):
        return None
    rate = max(epoch.learning_rate for epoch in run.history)
    evidence = f"a step changes a weight matrix by {moved:.2g} of its norm (0.001 is usual); "
    if rose >= limits.ROSE:
        evidence += f"the training loss rose to {rose:.3g} times what it had been"
    else:
        evidence += f"the training loss ends at {share:.0%} of a constant answer's"
    return Finding(
        "learning_rate_too_high",
        "serious",
        evidence,
        f"learning_rate = {rate * min(0.1, limits.STEP / moved):.1g}",
    )


def learning_rate_too_low(run: Run) -> Finding | None:
    """Find steps that are too short to get anywhere."""
    moved = peak_update(run.history)
    if moved is None or moved >= limits.STILL or len(run.history) < limits.SETTLED:
        return None
    first, last = run.history[0].train_loss, run.history[-1].train_loss
    if first == 0 or last < limits.FELL * first:
        return None
    rate = max(epoch.learning_rate for epoch in run.history)
    return Finding(
        "learning_rate_too_low",
        "warning",
        f"a step changes a weight matrix by {moved:.2g} of its norm (0.001 is usual); after "
        f"{len(run.history)} epochs the training loss is {last / first:.0%} of the first one's",
        f"learning_rate = {rate * limits.STEP / max(moved, 1e-9):.1g}; fewer warmup_steps, if "
        "they are most of the run",
    )


def overfitting(run: Run) -> Finding | None:
    """Find a training loss that still falls where the validation loss rises."""
    if not run.history:
        return None
    best = min(run.history, key=lambda epoch: epoch.valid_loss)
    last = run.history[-1]
    if (
        last.valid_loss < limits.OVERFITTED * best.valid_loss
        or last.train_loss > limits.FELL * best.train_loss
    ):
        return None
    if largest_rise([epoch.train_loss for epoch in run.history]) >= limits.ROSE:
        return None  # losses that jump: nothing was learned by heart
    constant_loss = None if run.given is None else run.given.constant_loss
    if last.valid_loss - best.valid_loss < limits.NOTICED * (constant_loss or 0.0):
        return None
    return Finding(
        "overfitting",
        "warning",
        f"from epoch {best.epoch} to {last.epoch} the training loss fell from "
        f"{best.train_loss:.3g} to {last.train_loss:.3g}, and the validation loss rose from "
        f"{best.valid_loss:.3g} to {last.valid_loss:.3g}",
        "more sessions; dropout, recurrent_dropout, zoneout or weight_decay; a smaller "
        "hidden_size; a smaller patience saves time (the best epoch's weights are kept)",
    )


def underfitting(run: Run) -> Finding | None:
    """Find a run that learned nothing, or one that ended while it was learning fast."""
    share = unlearned(run)
    if share is None or len(run.history) < limits.SETTLED or not run.finished:
        return None
    last = run.history[-1]
    evidence = (
        f"the training loss ends at {last.train_loss:.3g}, {share:.0%} of the best constant "
        "answer's"
    )
    before = run.history[-2].train_loss
    best = min(run.history, key=lambda epoch: epoch.valid_loss)
    if last.train_loss < limits.FALLS * before and best is last:
        evidence += f", {before:.3g} an epoch before, and the validation loss is at its best"
        return Finding("underfitting", "note", evidence, "more epochs, or a higher learning_rate")
    if share < limits.LEARNED_NOTHING:
        return None
    return Finding(
        "underfitting",
        "warning",
        f"{evidence}, and no longer falls",
        "see that the fields tell of the label at all; more hidden_size or num_layers; less "
        "dropout, noise or weight_decay",
    )


def unscaled_inputs(run: Run) -> Finding | None:
    """Find columns of which the network sees far more, or less, than of the others."""
    columns = () if run.given is None else run.given.columns
    found = [
        f"{column.name}: mean {column.mean:.3g}, deviation {column.deviation:.3g}, largest "
        f"{column.largest:.3g}"
        for column in columns
        if max(abs(column.mean), column.deviation) > limits.UNSCALED
        or column.largest > limits.OUTLYING
        or 0 < column.deviation < limits.TINY
    ]
    if not found:
        return None
    shown = "; ".join(found[: limits.SHOWN]) + (
        f"; {len(found) - limits.SHOWN} more" if len(found) > limits.SHOWN else ""
    )
    return Finding(
        "unscaled_inputs",
        "warning",
        f"of the encoded rows: {shown}",
        'scale = "standard" (or "robust"); "log1p" where a few values are far larger than the rest',
    )


def short_memory(run: Run) -> Finding | None:
    """Find sessions far longer than what the state remembers."""
    diagnosis, length = last_diagnosis(run), usual_length(run)
    if diagnosis is None or length is None:
        return None
    far = [reach(diagnosis.lags, layer, limits.MATTERS) for layer in diagnosis.layers]
    lag = max(lag for lag, _ in far)
    if not all(sure for _, sure in far) or length < limits.LONGER * max(lag, 1):
        return None
    return Finding(
        "short_memory",
        "note",
        f"half of the sessions have {length:,.0f} events or more; what lies more than {lag} events "
        f"back has less than {limits.MATTERS:.0%} of the largest gradient",
        f'if the cause may lie further back: init = "chrono" with longest = {length:.0f}, or '
        'cell = "lstm"; if not, max_length (truncate) or shorter chunks train faster',
    )


Rule = Callable[[Run], Finding | None]

CAUSES: tuple[Rule, ...] = (
    not_finite,
    exploding_gradients,
    learning_rate_too_high,
    unscaled_inputs,
    vanishing_gradients,
    saturated_gates,
    dead_units,
    clipped_always,
    learning_rate_too_low,
    overfitting,
)

SYMPTOMS: tuple[Rule, ...] = (underfitting, short_memory)
"""Asked where no cause was found: a run whose gradients vanish, say, also learns and remembers
little."""

"""Proof that nothing crosses sessions: neither state nor gradient.

To separate every two sessions, their numbers are written in binary: for each digit, the sessions
with a 1 there are changed and those with a 0 are watched, and the other way round. Any two numbers
differ in some digit, so about 2 log2(sessions) passes try all pairs, in both directions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tidegate.data.batches import Batch
from tidegate.errors import InputError
from tidegate.spec import ModelSpec
from tidegate.train.plan import Plan
from tidegate.train.tbptt import Carry

__all__ = ["Leak", "LeakReport", "check_leaks"]

Kind = Literal["state", "gradient", "cut", "carry"]


@dataclass(frozen=True)
class Leak:
    """Something that crossed a border.

    Parameters
    ----------
    kind : {"state", "gradient", "cut", "carry"}
        ``state``: the session's outputs depend on events of other sessions. ``gradient``: a loss
        of other sessions has a gradient at its events. ``cut``: a loss of other stretches has one,
        those of its own session included. ``carry``: its outputs are not those of a pass over the
        whole session, so its state is lost, or not reset.
    session : int
        The session.
    row : int
        Its first event of which this is so, as a row of the plan's.
    """

    kind: Kind
    session: int
    row: int


@dataclass(frozen=True)
class LeakReport:
    """What `check_leaks` found.

    Parameters
    ----------
    sessions, batches : int
        Of the epoch.
    leaks : tuple of Leak
        One of each kind and session at most.
    unseen : tuple of int
        Sessions whose own outputs did not move with their events, or had no gradient there: of
        them nothing is proven.
    carry_error : float
        Largest difference from the passes over whole sessions.
    """

    sessions: int
    batches: int
    leaks: tuple[Leak, ...]
    unseen: tuple[int, ...]
    carry_error: float

    @property
    def clean(self) -> bool:
        """Whether it is proven that nothing leaks."""
        return not self.leaks and not self.unseen


def check_leaks(
    network: nn.Module,
    plan: Plan,
    epoch: int = 1,
    *,
    tolerance: float = 1e-5,
    carry: Callable[[nn.Module], Carry] = Carry,
) -> LeakReport:
    """Prove for a network and a plan of batches that sessions do not touch each other.

    Events of some sessions are replaced, once by NaN and once by other values: the outputs of all
    other sessions must stay as they were, to the bit. The gradient of a session's outputs must be
    exactly 0 at the events of all others, and that of a stretch at the events of all other
    stretches. Each session's outputs must be those of one pass over the whole of it. Nothing is
    learned, and torch's random state is left as it was.

    Parameters
    ----------
    network : Module
        As `Carry` takes it. It is tried in the mode it is in, each pass with the same noise; the
        comparison with whole sessions is made without noise.
    plan : Lanes or Batches
        What an epoch trains on. The activations of one epoch must fit into memory.
    epoch : int
        Which.
    tolerance : float
        Largest difference from a pass over a whole session.
    carry : callable
        Makes what carries the state; that of your own loop, if it has one.

    Returns
    -------
    LeakReport
        Its `clean` says whether all was proven.

    Raises
    ------
    InputError
        ``not_finite``: outputs of the events as they are; ``empty_plan``; ``many_windows``: a
        session has several, each beginning anew.

    Notes
    -----
    A category cannot be NaN: it is replaced by another. Gradients are followed to the numbers of a
    row and to the embeddings of its categories.

    Examples
    --------
    >>> from tidegate.data.lanes import Lanes
    >>> from tidegate.nn import GRU
    >>> rng = np.random.default_rng(0)
    >>> rows, offsets = rng.standard_normal((9, 2), np.float32), np.array([0, 2, 7, 9])
    >>> check_leaks(GRU(2, 4), Lanes(rows, offsets, np.zeros(9), lanes=2, chunk=2)).clean
    True
    """
    if plan.windows.truncate == "windows":
        raise InputError(
            "many_windows",
            "a session has several windows, and no pass over the whole of it to compare with",
            field="plan",
            hint='check the same plan with truncate = "tail": windows are batched in the same way',
        )
    batches = list(plan.epoch(epoch))
    if not batches:
        raise InputError(
            "empty_plan", "there is no session", field="plan", hint="give some sessions"
        )
    trial = _Trial(network, batches, torch.from_numpy(plan.rows), carry)
    if not torch.isfinite(trial.plain[trial.trained]).all():
        raise InputError(
            "not_finite",
            "the network's outputs are not finite before anything is changed",
            field="network",
            hint="look for NaN in the rows and in the weights",
        )
    sessions = np.unique(trial.sessions[trial.trained])
    marks: dict[Kind, NDArray[np.bool_]] = {}
    marks["state"], moved = trial.states()
    marks["gradient"], sloped = trial.gradients(trial.sessions)
    marks["cut"], _ = trial.gradients(trial.segments)
    marks["carry"], error = trial.carried(tolerance)
    leaks = []
    for kind, marked in marks.items():
        found = np.flatnonzero(marked)
        of, first = np.unique(trial.sessions[found], return_index=True)
        leaks += [Leak(kind, int(s), int(found[i])) for s, i in zip(of, first, strict=True)]
    seen = np.intersect1d(trial.sessions[moved], trial.sessions[sloped])
    unseen = tuple(np.setdiff1d(sessions, seen).tolist())
    return LeakReport(len(sessions), len(batches), tuple(leaks), unseen, error)


class _Trial:
    """A network and the batches of an epoch; what is marked is marked of each row."""

    def __init__(
        self,
        network: nn.Module,
        batches: Sequence[Batch],
        rows: Tensor,
        carry: Callable[[nn.Module], Carry],
    ) -> None:
        self.network, self.batches, self.carry = network, batches, carry
        weight = next(network.parameters())
        self.rows = rows.to(device=weight.device, dtype=weight.dtype)
        self.sessions = np.full(len(rows), -1)
        self.segments = np.full(len(rows), -1)
        count = 0
        for batch in batches:
            of = np.repeat(np.arange(len(batch.lengths)), batch.lengths)
            self.sessions[batch.events] = batch.session_indices[of]
            self.segments[batch.events] = count + of
            count += len(batch.lengths)
        self.trained = self.sessions >= 0
        with torch.no_grad():
            self.plain = self.outputs(self.rows)

    def outputs(self, rows: Tensor) -> Tensor:
        """Return the outputs of an epoch, (rows, ...), with 0 where an event is not trained on."""
        carry = self.carry(self.network)
        found, events = [], []
        with torch.random.fork_rng():
            torch.manual_seed(0)
            for batch in self.batches:
                self._at = batch
                real, taken = self._tensor(batch.real), self._tensor(batch.events)
                x = rows.new_zeros(*batch.real.shape, rows.shape[1])
                x[real] = rows[taken]
                found.append(carry(batch, x)[real])
                events.append(taken)
        y = torch.cat(found)
        return y.new_zeros(len(rows), *y.shape[1:]).index_copy_(0, torch.cat(events), y)

    def states(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Mark events whose outputs moved with other sessions' events, and with their own."""
        leaked, moved = np.zeros((2, len(self.rows)), dtype=np.bool_)
        for changed in _halves(self.sessions):
            for poison in (self._nan(), self._other()):
                mixed = torch.where(self._tensor(changed)[:, None], poison, self.rows)
                with torch.no_grad():
                    differs = _differ(self.outputs(mixed), self.plain) & self.trained
                moved |= differs & changed
                leaked |= differs & ~changed
        return leaked, moved

    def gradients(self, groups: NDArray[np.int64]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Mark events with a gradient of other groups' outputs, and of their own group's."""
        rows = self.rows.clone().requires_grad_()
        followed = [(rows, np.arange(len(rows)))]
        embeddings = [m for m in self.network.modules() if isinstance(m, nn.Embedding)]
        follow = partial(self._follow, followed)
        hooks = [embedding.register_forward_hook(follow) for embedding in embeddings]
        try:
            y = self.outputs(rows)
        finally:
            for hook in hooks:
                hook.remove()
        leaves = [leaf for leaf, _ in followed]
        weights = torch.from_numpy(np.random.default_rng(0).uniform(1, 2, tuple(y.shape)))
        loss = (y * weights.to(y)).flatten(1).sum(dim=1)
        leaked, sloped = np.zeros((2, len(rows)), dtype=np.bool_)
        for chosen in _halves(groups):
            summed = loss[self._tensor(chosen)].sum()
            slopes = torch.autograd.grad(summed, leaves, retain_graph=True, allow_unused=True)
            steep = np.zeros(len(rows) + 1, dtype=np.bool_)  # the last is of padding
            for slope, (_, events) in zip(slopes, followed, strict=True):
                if slope is not None:
                    steep[events] |= (slope != 0).flatten(0, -2).any(dim=1).cpu().numpy()
            leaked |= steep[:-1] & ~chosen
            sloped |= steep[:-1] & chosen
        return leaked, sloped

    def carried(self, tolerance: float) -> tuple[NDArray[np.bool_], float]:
        """Mark events whose outputs differ from a whole session's; return the worst difference."""
        was_training = self.network.training
        self.network.eval()
        worst = torch.zeros(len(self.rows), dtype=torch.float64)
        try:
            with torch.no_grad():
                carried = self.outputs(self.rows)
                for session in np.unique(self.sessions[self.trained]):
                    events = torch.from_numpy(np.flatnonzero(self.sessions == session))
                    whole, _ = self.network(
                        self.rows[None, events], None, torch.tensor([len(events)])
                    )
                    error = (whole[0] - carried[events]).abs().flatten(1)
                    worst[events] = error.amax(dim=1).double().cpu()
        finally:
            self.network.train(was_training)
        return (~(worst <= tolerance)).numpy(), float(worst.max())

    def _follow(
        self,
        followed: list[tuple[Tensor, NDArray[np.int64]]],
        _module: nn.Module,
        _inputs: object,
        output: Tensor,
    ) -> Tensor:
        """Add zeros to what an embedding returns: their gradient is that of an event's category."""
        leaf = torch.zeros_like(output, requires_grad=True)
        events, real = self._at.events, self._at.real
        if leaf[..., 0].numel() == real.size:
            padded = np.full(real.size, -1)
            padded[real.reshape(-1)] = events
            events = padded
        if leaf.numel():
            followed.append((leaf, events))
        return output + leaf

    def _tensor(self, array: NDArray[Any]) -> Tensor:
        return torch.from_numpy(array).to(self.rows.device)

    def _nan(self) -> Tensor:
        return self._keeping_categories(torch.full_like(self.rows, torch.nan))

    def _other(self) -> Tensor:
        """Return rows that differ from the real ones in every number."""
        return self._keeping_categories(torch.where(self.rows.abs() < 1, self.rows + 2, -self.rows))

    def _keeping_categories(self, rows: Tensor) -> Tensor:
        spec = getattr(self.network, "spec", None)
        for category in spec.categories if isinstance(spec, ModelSpec) else ():
            column = category.column
            rows[:, column] = (self.rows[:, column] + 1) % category.size
        return rows


def _halves(groups: NDArray[np.int64]) -> Iterator[NDArray[np.bool_]]:
    """Yield rows of one half of the groups; any two groups are apart in some, both ways round.

    Parameters
    ----------
    groups : int64 array (rows,)
        The group of each row; -1: none.
    """
    names, numbers = np.unique(groups, return_inverse=True)
    for digit in range(max(1, int(len(names) - 1).bit_length())):
        one = (numbers >> digit & 1).astype(np.bool_)
        yield one & (groups >= 0)
        yield ~one & (groups >= 0)


def _differ(one: Tensor, other: Tensor) -> NDArray[np.bool_]:
    """Say which rows differ in any bit."""
    bits = [each.flatten(1).contiguous().cpu().numpy().view(np.uint8) for each in (one, other)]
    return np.asarray((bits[0] != bits[1]).any(axis=1))

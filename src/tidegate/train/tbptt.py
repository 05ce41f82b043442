"""Stateful truncated backpropagation through time: the state goes on, its gradient does not."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn

from tidegate.data.batches import Batch
from tidegate.errors import InputError
from tidegate.nn.layer import Layer

__all__ = ["Carry", "refuse_backward"]

State = Any
"""A tensor (..., B, hidden_size), or a tuple of them."""

Mark = tuple[State, Batch | None, tuple[Batch, ...]]
"""Where a `Carry` stands: the state after a batch, that batch, and those skipped since."""


class Carry:
    """Runs batches through a network, each session going on from its own state.

    A batch's `carried` says which of its stretches go on, and from where; the others begin as the
    network begins sessions. The state that goes on has no gradient: a batch's backward pass ends
    where its stretches begin.

    Parameters
    ----------
    network : Module
        ``network(rows, state, lengths)`` returns outputs and state, as `Network` and `GRU` do.

    Notes
    -----
    Variational masks (`recurrent_dropout`, `weight_dropout`) are drawn anew for each batch, not
    for each session.

    A state that is not finite is not carried: the rest of its session goes on as if it began
    there. Else one bad event would cost every batch until the session's end, with all that runs
    beside it.

    References
    ----------
    R. J. Williams, J. Peng, "An efficient gradient-based algorithm for on-line training of
    recurrent network trajectories", 1990.

    Examples
    --------
    >>> import numpy as np
    >>> from tidegate.data.lanes import Lanes
    >>> from tidegate.nn import GRU
    >>> rows, offsets = np.ones((8, 2), np.float32), np.array([0, 5, 8])
    >>> carry = Carry(GRU(2, 4))
    >>> for batch in Lanes(rows, offsets, np.zeros(8), lanes=2, chunk=3).epoch():
    ...     outputs = carry(batch)
    ...     print(tuple(outputs.shape))  # here come the loss and the optimizer's step
    (2, 3, 4)
    (1, 2, 4)
    """

    def __init__(self, network: nn.Module) -> None:
        self.network = network
        self._kept: State = None
        self._before: Batch | None = None
        self._skipped: list[Batch] = []

    def __call__(self, batch: Batch, rows: Tensor | None = None) -> Tensor:
        """Return a batch's outputs, (B, T, ...).

        Parameters
        ----------
        batch : Batch
            Whole sessions, or the chunk after the one before.
        rows : tensor (B, T, width), optional
            Read in place of the batch's own.

        Raises
        ------
        InputError
            ``not_next``: a stretch goes on from where the batch before did not end;
            ``bad_layer``: it would go on in a layer that reads sessions backward.
        """
        with torch.no_grad():
            while self._skipped and (batch.carried >= 0).any():
                self._run(self._skipped.pop(0))
        self._skipped.clear()
        return self._run(batch, rows)

    def skip(self, batch: Batch) -> None:
        """Take a batch that is not learned from; it is run if a later one goes on from it."""
        if (batch.carried < 0).all():
            self._skipped.clear()
        self._skipped.append(batch)

    def mark(self) -> Mark:
        """Return where it stands: what `rewind` takes."""
        return self._kept, self._before, tuple(self._skipped)

    def rewind(self, mark: Mark) -> None:
        """Stand where it stood, so that batches can be run once more."""
        self._kept, self._before, skipped = mark
        self._skipped = list(skipped)

    def _run(self, batch: Batch, rows: Tensor | None = None) -> Tensor:
        self.check(batch)
        weight = next(self.network.parameters())
        x = torch.from_numpy(batch.rows) if rows is None else rows
        x = x.to(device=weight.device, dtype=weight.dtype)
        outputs, after = self.network(x, self._state(x, batch), torch.from_numpy(batch.lengths))
        self._kept, self._before = self.keep(after), batch
        return cast("Tensor", outputs)

    def check(self, batch: Batch) -> None:
        """Refuse a batch that would take a session's state to any but the session's next event."""
        on = batch.carried >= 0
        if not on.any():
            return
        refuse_backward(self.network)
        before, taken = self._before, batch.carried[on]
        if before is not None and taken.max() < len(before.starts):
            ends = before.starts[taken] + before.lengths[taken]
            same = before.session_indices[taken] == batch.session_indices[on]
            if (same & (ends == batch.starts[on])).all():
                return
        raise InputError(
            "not_next",
            "a stretch goes on from where the batch before did not end",
            field="batch",
            hint="give all batches of an epoch in their order, those without labels too",
        )

    def keep(self, state: State) -> State:
        """Return what goes on of the state after a batch: its values, without their graph."""
        return state.detach() if isinstance(state, Tensor) else tuple(p.detach() for p in state)

    def _state(self, x: Tensor, batch: Batch) -> State:
        carried = torch.from_numpy(batch.carried).to(x.device)
        if bool((carried < 0).all()):
            return None
        # No step leaves a session where it begins, whatever the network's state is made of; a
        # learned beginning keeps its gradient.
        nothing = torch.zeros(1, dtype=torch.int64)
        _, begun = self.network(x[:1, :0], None, nothing)
        kept = self._kept
        finite = torch.stack([_finite(part) for part in _parts(kept)]).all(dim=0)
        place = torch.where((carried >= 0) & finite[carried], carried + 1, 0)
        parts = [
            torch.cat([first, rest], dim=-2).index_select(-2, place)
            for first, rest in zip(_parts(begun), _parts(kept), strict=True)
        ]
        return parts[0] if isinstance(begun, Tensor) else tuple(parts)


def refuse_backward(network: nn.Module) -> None:
    """Refuse a network that no state can be carried in.

    Raises
    ------
    InputError
        ``bad_layer``: a layer reads sessions backward.
    """
    for layer in network.modules():
        if isinstance(layer, Layer) and layer.spec.bidirectional:
            raise InputError(
                "bad_layer",
                "a backward direction needs whole sessions",
                field="bidirectional",
                hint="train whole sessions, or leave bidirectional out",
            )


def _parts(state: State) -> tuple[Tensor, ...]:
    return (state,) if isinstance(state, Tensor) else tuple(state)


def _finite(part: Tensor) -> Tensor:
    """Return of which sessions a part of the state is finite, (B,)."""
    return part.isfinite().movedim(-2, 0).flatten(1).all(dim=1)

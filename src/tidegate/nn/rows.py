"""Sessions of several lengths as one matrix of events, without their padding."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Rows"]


@dataclass(frozen=True)
class Rows:
    """Where the events of each session stand in a matrix of rows.

    Session b's event t is row ``offsets[b] + t``; t counts to ``lengths[b]``. Rows that belong to
    no session, if there are any, are padding: nothing reads them, and what is made of them is 0.

    Parameters
    ----------
    sessions, steps : int
        Of the padded tensor (B, T, ...).
    count : int
        Rows.
    lengths, offsets : int64 tensor (B,)
        On the CPU.
    real : int64 tensor (count,), optional
        Which of the B * T padded places the rows are. None: all of them, in order.
    padded : bool
        Whether some rows may be no session's.
    """

    sessions: int
    steps: int
    count: int
    lengths: Tensor
    offsets: Tensor
    real: Tensor | None = None
    padded: bool = False

    @classmethod
    def of(cls, x: Tensor, lengths: Tensor | None) -> Rows:
        """Find the events of a padded tensor (B, T, ...); `lengths` are checked already."""
        sessions, steps = x.shape[:2]
        if lengths is None:
            full = torch.full((sessions,), steps, dtype=torch.int64)
            return cls(sessions, steps, sessions * steps, full, _starts(sessions, steps))
        # A copy: the backward pass goes by what the forward pass saw.
        lengths = lengths.to(device="cpu", dtype=torch.int64, copy=True)
        if torch.compiler.is_compiling():  # shapes must not depend on numbers
            starts = _starts(sessions, steps)
            return cls(sessions, steps, sessions * steps, lengths, starts, padded=True)
        real = torch.arange(steps) < lengths[:, None]
        places = real.reshape(-1).nonzero()[:, 0]
        offsets = lengths.cumsum(0) - lengths
        return cls(sessions, steps, len(places), lengths, offsets, places.to(x.device))

    def pack(self, x: Tensor) -> Tensor:
        """Take the events out of a padded tensor: (B, T, width) to (count, width)."""
        flat = x.reshape(self.sessions * self.steps, x.shape[-1])
        if self.padded:  # a product would bring a NaN of the padding into the weights' gradient
            return torch.where(self._real(x), flat, 0.0)
        return flat if self.real is None else flat.index_select(0, self.real)

    def unpack(self, y: Tensor) -> Tensor:
        """Put rows back: (count, width) to (B, T, width), with 0 in the padding."""
        shape = (self.sessions, self.steps, y.shape[-1])
        if self.padded:
            return torch.where(self._real(y), y, 0.0).reshape(shape)
        if self.real is None:
            return y.reshape(shape)
        whole = y.new_zeros(self.sessions * self.steps, y.shape[-1])
        return whole.index_copy_(0, self.real, y).reshape(shape)  # the copy that makes none is slow

    def before(self, first: Tensor, y: Tensor) -> Tensor:
        """Return what each session had before each of its events.

        Parameters
        ----------
        first : tensor (B, width)
            Before its first.
        y : tensor (count, width)
            After each.

        Returns
        -------
        tensor (count, width)
        """
        whole = torch.cat([first[:, None], self.unpack(y)], dim=1)
        return self.pack(whole[:, : self.steps])

    def _real(self, like: Tensor) -> Tensor:
        """Mark the rows that are a session's, (sessions * steps, 1)."""
        marks = torch.arange(self.steps) < self.lengths[:, None]
        return marks.reshape(-1, 1).to(like.device)

    def order(self, *, reverse: bool) -> tuple[Tensor, Tensor]:
        """Return each session's rows in the order of its steps, and which of them are real.

        Returns
        -------
        rows : int64 tensor (B, T)
            0 behind the last step.
        real : bool tensor (B, T)
            False behind it.
        """
        step = torch.arange(self.steps).expand(self.sessions, -1)
        real = step < self.lengths[:, None]
        place = self.lengths[:, None] - 1 - step if reverse else step
        return torch.where(real, self.offsets[:, None] + place, 0), real


def _starts(sessions: int, steps: int) -> Tensor:
    return torch.arange(sessions, dtype=torch.int64) * steps

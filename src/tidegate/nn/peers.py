"""Networks to compare a recurrent one with: between the same rows and the same head, other layers.

They train as a `Network` does, on whole sessions. No engine runs them.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import nn

from tidegate.errors import InputError
from tidegate.nn.cells import State
from tidegate.nn.checks import check_events, check_lengths
from tidegate.nn.minimal import MinGRU
from tidegate.nn.model import Network
from tidegate.nn.rows import Rows
from tidegate.spec import ModelSpec

__all__ = ["CausalTransformer", "Kind", "Peer"]

Kind = Literal["mingru", "transformer"]


class Peer(Network):
    """A network whose layers are no recurrent ones of a `ModelSpec`.

    Parameters
    ----------
    spec : ModelSpec
        Of a network with the same rows, units and head; its layers are not made.
    kind : {"mingru", "transformer"}
        What stands in their place: `MinGRU`, or `CausalTransformer`.
    dropout : float
        Share of the values that training sets to zero behind the layers, and within a transformer.
    heads : int
        Of a transformer; they divide its units.

    Examples
    --------
    >>> from tidegate.spec import LayerSpec
    >>> spec = ModelSpec(row_size=3, layers=(LayerSpec("gru", 8),), output_size=2)
    >>> outputs, _ = Peer(spec, "transformer")(torch.zeros(2, 5, 3))
    >>> outputs.shape
    torch.Size([2, 5, 2])
    """

    def __init__(
        self, spec: ModelSpec, kind: Kind, dropout: float = 0.0, *, heads: int = 4
    ) -> None:
        super().__init__(spec, dropout)
        self.layers = nn.ModuleList()
        size, units, depth = spec.input_sizes[0], spec.layers[-1].output_size, len(spec.layers)
        self.body: nn.Module
        if kind == "mingru":
            self.body = MinGRU(size, units, num_layers=depth, dropout=dropout if depth > 1 else 0.0)
        else:
            self.body = CausalTransformer(size, units, depth, heads, dropout)

    def forward(
        self,
        rows: torch.Tensor,
        state: State | None = None,
        lengths: torch.Tensor | None = None,
        *,
        head: bool = True,
    ) -> tuple[torch.Tensor, State]:
        """Run whole sessions; see `Network.forward`.

        Raises
        ------
        InputError
            ``bad_state``: one is given; else as `Network.forward`.
        """
        if state is not None:
            raise InputError(
                "bad_state",
                "this network runs whole sessions",
                field="state",
                hint='leave it out, and train with mode = "sessions"',
            )
        check_events(rows, self.spec.row_size, self.head.weight, name="rows")
        if lengths is not None:
            check_lengths(lengths, *rows.shape[:2])
        events = Rows.of(rows, lengths)
        packed = events.pack(rows)
        y, *_ = self.body(events.unpack(self.inputs(packed)), None, lengths)
        x = events.pack(self.dropout(y))
        if head:
            begun = (x.new_zeros(events.sessions, x.shape[1]),)
            x = self.outputs(x, packed, events, begun)
        return events.unpack(x), ()


class CausalTransformer(nn.Module):
    """Self-attention over a session's events so far, with sines for their places.

    Parameters
    ----------
    input_size : int
        Numbers of an event.
    hidden_size : int
        Units; `heads` divide them. The feed-forward layers have twice as many.
    num_layers : int
        Layers, each normalised before its two parts.
    heads : int
        Of the attention.
    dropout : float
        Within the layers.

    References
    ----------
    A. Vaswani et al., "Attention is all you need", 2017; R. Xiong et al., "On layer normalization
    in the transformer architecture", 2020.
    """

    def __init__(
        self, input_size: int, hidden_size: int, num_layers: int, heads: int, dropout: float
    ) -> None:
        super().__init__()
        if hidden_size % (2 * heads):
            raise InputError(
                "bad_layer",
                f"{hidden_size} units cannot be shared by {heads} heads of an even size",
                field="hidden_size",
                hint=f"use a multiple of {2 * heads}",
            )
        self.enter = nn.Linear(input_size, hidden_size)
        layer = nn.TransformerEncoderLayer(
            hidden_size,
            heads,
            2 * hidden_size,
            dropout,
            batch_first=True,
            norm_first=True,
        )
        norm = nn.LayerNorm(hidden_size)
        self.layers = nn.TransformerEncoder(layer, num_layers, norm, enable_nested_tensor=False)

    def forward(
        self,
        x: torch.Tensor,
        state: None = None,  # noqa: ARG002 - as every layer has it
        lengths: torch.Tensor | None = None,  # noqa: ARG002 - nothing looks ahead into the padding
    ) -> tuple[torch.Tensor]:
        """Return what stands above each event, (B, T, hidden_size)."""
        steps = x.shape[1]
        h = self.enter(x) + places(steps, self.enter.out_features, x)
        ahead = torch.ones(steps, steps, dtype=torch.bool, device=x.device).triu(1)
        return (self.layers(h, mask=ahead, is_causal=True),)


def places(steps: int, size: int, like: torch.Tensor) -> torch.Tensor:
    """Return sines and cosines of each place, (steps, size)."""
    rates = torch.exp(torch.arange(0, size, 2, device=like.device) * (-math.log(1e4) / size))
    angles = torch.arange(steps, device=like.device)[:, None] * rates
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1).to(like.dtype)

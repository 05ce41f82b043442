"""The network of a model spec: embeddings, recurrent layers, a linear head."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Literal

import torch
from torch import nn

from tidegate.nn.cells import CellBase, State
from tidegate.nn.checks import check_events, check_lengths, check_state
from tidegate.nn.initialise import chrono
from tidegate.nn.layer import Layer
from tidegate.nn.rows import Rows
from tidegate.spec import ModelSpec

__all__ = ["Headless", "Init", "Network"]

Init = Literal["default", "chrono"]


class Network(nn.Module):
    """A stack of recurrent layers between encoded rows and a linear head.

    Parameters
    ----------
    spec : ModelSpec
        The model.
    dropout : float
        Share of the values that training sets to zero behind each layer.
    recurrent_dropout : float
        Share of h that does not enter the recurrent product in training, the same units at all
        steps of a session (Gal, Ghahramani 2016).
    weight_dropout : float
        Share of recurrent weights that are zero for a call in training (DropConnect; Merity et al.
        2018).
    embedding_dropout : float
        Share of the embeddings' values that training sets to zero.
    recompute : bool
        Keep less for the backward pass, and make it again there.
    init : {"default", "chrono"}
        How the layers' weights begin: see `initialise`, and `chrono`.
    longest : int, optional
        Steps that `chrono` is to remember.

    Raises
    ------
    InputError
        ``bad_init``: `chrono` for a layer that it does not fit.

    Notes
    -----
    The head begins as Xavier (Glorot, Bengio 2010), and what it reads of the row counts for nothing
    then. Embeddings begin as normal, but that of index 0, out of vocabulary, as zero. All are drawn
    from torch's global generator.

    Examples
    --------
    >>> from tidegate.spec import LayerSpec
    >>> spec = ModelSpec(row_size=3, layers=(LayerSpec("gru", 8), LayerSpec("lstm", 4)),
    ...                  output_size=1)
    >>> outputs, state = Network(spec)(torch.zeros(2, 5, 3))
    >>> outputs.shape, [tuple(part.shape) for part in state]
    (torch.Size([2, 5, 1]), [(2, 8), (2, 4), (2, 4)])
    """

    def __init__(
        self,
        spec: ModelSpec,
        dropout: float = 0.0,
        *,
        recurrent_dropout: float = 0.0,
        weight_dropout: float = 0.0,
        embedding_dropout: float = 0.0,
        recompute: bool = False,
        init: Init = "default",
        longest: int | None = None,
    ) -> None:
        super().__init__()
        self.spec = spec
        self.embeddings = nn.ModuleList(
            nn.Embedding(category.size, category.embedding_size) for category in spec.categories
        )
        self.layers = nn.ModuleList(
            Layer(
                layer,
                size,
                recurrent_dropout=recurrent_dropout,
                weight_dropout=weight_dropout,
                recompute=recompute,
            )
            for layer, size in zip(spec.layers, spec.input_sizes, strict=True)
        )
        self.dropout = nn.Dropout(dropout)
        self.embedding_dropout = nn.Dropout(embedding_dropout)
        self.head = nn.Linear(spec.layers[-1].output_size, spec.output_size)
        skip = torch.zeros(spec.output_size, len(spec.number_columns))
        self.skip = nn.Parameter(skip) if spec.skip else None
        number_columns = torch.tensor(spec.number_columns, dtype=torch.long)
        self.register_buffer("_number_columns", number_columns, persistent=False)
        for embedding in self.embeddings:
            # Training may never see a value that is out of vocabulary: it then counts for nothing.
            nn.init.zeros_(embedding.get_parameter("weight")[0])
        nn.init.xavier_uniform_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        if init == "chrono":
            for cell in self.modules():
                if isinstance(cell, CellBase):
                    chrono(cell, longest or 0)

    def forward(
        self,
        rows: torch.Tensor,
        state: State | None = None,
        lengths: torch.Tensor | None = None,
        *,
        head: bool = True,
    ) -> tuple[torch.Tensor, State]:
        """Run sessions from their first event on, or from `state`.

        Parameters
        ----------
        rows : float32 tensor (B, T, row_size)
            Encoded rows, padded behind each session's last; what the padding holds is never read.
        state : tuple of tensors (B, hidden_size), optional
            What an earlier call returned.
        lengths : int tensor (B,), optional
            Real events of each session, 0 to T; all T if left out.
        head : bool
            False: return what goes up from the last layer, (B, T, hidden_size), in place of the
            head's outputs.

        Returns
        -------
        outputs : float32 tensor (B, T, output_size)
            Outputs of the head after each event, of a spec whose readout is ``surprise`` before
            it; 0 in the padding. `readout.numbers` makes what the events are answered with.
        state : tuple of tensors (B, hidden_size)
            After each session's last real event: layers in order; an LSTM's h, then its c; of two
            directions, the forward one's first.

        Raises
        ------
        InputError
            ``bad_input``, ``bad_lengths`` or ``bad_state``, naming the argument.
        """
        check_events(rows, self.spec.row_size, self.head.weight, name="rows")
        if lengths is not None:
            check_lengths(lengths, *rows.shape[:2])
        events = Rows.of(rows, lengths)
        packed = events.pack(rows)
        x = self.inputs(packed)
        before: Sequence[State | None] = [None] * len(self.layers)
        if state is not None:
            before = self._split(state, rows.shape[0])
        after: list[torch.Tensor] = []
        for layer, begun in zip(self.layers, before, strict=True):
            x, end, _ = layer(x, begun, events)
            x = self.dropout(x)
            after += end
        if head:
            x = self.outputs(x, packed, events, before[-1])
        return events.unpack(x), tuple(after)

    def inputs(self, rows: torch.Tensor) -> torch.Tensor:
        """Return the first layer's input, (events, input_size)."""
        if not self.embeddings:
            return rows
        embedded = [
            self.embedding_dropout(embedding(rows[:, category.column].long()))
            for category, embedding in zip(self.spec.categories, self.embeddings, strict=True)
        ]
        return torch.cat([self._numbers(rows), *embedded], dim=-1)

    def outputs(
        self, x: torch.Tensor, rows: torch.Tensor, events: Rows, begun: State | None = None
    ) -> torch.Tensor:
        """Return the head's outputs.

        Parameters
        ----------
        x : tensor (events, hidden_size)
            What goes up from the last layer.
        rows : tensor (events, row_size)
            The encoded rows.
        events : Rows
            Which event is whose.
        begun : tuple of tensors (B, hidden_size), optional
            The last layer's state before the first event; None: what sessions begin with.

        Returns
        -------
        tensor (events, output_size)
        """
        if self.spec.readout == "surprise":
            last = self.layers[-1]
            assert isinstance(last, Layer)
            first, *_ = last.initial_state(x, events.sessions) if begun is None else begun
            x = events.before(first, x)
        outputs: torch.Tensor = self.head(x)
        return outputs if self.skip is None else outputs + self._numbers(rows) @ self.skip.T

    def _numbers(self, rows: torch.Tensor) -> torch.Tensor:
        return rows.index_select(-1, self.get_buffer("_number_columns"))

    def _split(self, state: State, sessions: int) -> list[State]:
        """Return each layer's part of a state of so many sessions."""
        counts = [layer.state_size // layer.hidden_size for layer in self.spec.layers]
        shapes = [
            (sessions, layer.hidden_size)
            for layer, count in zip(self.spec.layers, counts, strict=True)
            for _ in range(count)
        ]
        parts = iter(check_state(state, shapes, self.head.weight))
        return [tuple(itertools.islice(parts, count)) for count in counts]


class Headless(nn.Module):
    """A network without its head, for losses that read what goes up from the last layer.

    Parameters
    ----------
    network : Network
        Whose layers it has.
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(
        self, rows: torch.Tensor, state: State | None = None, lengths: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, State]:
        """Run sessions; see `Network.forward`."""
        found: tuple[torch.Tensor, State] = self.network(rows, state, lengths, head=False)
        return found

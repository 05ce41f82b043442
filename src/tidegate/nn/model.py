"""The network of a model spec, on torch's recurrent modules."""

from __future__ import annotations

import torch
from torch import nn

from tidegate.spec import GATES, LayerSpec, ModelSpec, refuse_unsupported

__all__ = ["Network", "State"]

State = tuple[torch.Tensor, ...]
"""Hidden state, (B, hidden_size) each: layers in order; an LSTM's h, then its c."""

_IMPLEMENTED = frozenset({"cell", "hidden_size", "activation"})
"""Fields of a layer of which networks implement every value; of the others, the default."""


class Network(nn.Module):
    """A stack of recurrent layers between encoded rows and a linear head.

    Parameters
    ----------
    spec : ModelSpec
        The model.
    dropout : float
        Share of the values that training sets to zero between layers and before the head.

    Raises
    ------
    EngineError
        ``unsupported_spec``: a layer has an option that is not implemented yet.

    Notes
    -----
    Weights begin as Xavier (Glorot, Bengio 2010) for inputs and the head, orthogonal for each
    gate's recurrent matrix (Saxe et al. 2014), and zero for biases, but one for an LSTM's forget
    gate (Jozefowicz et al. 2015). Embeddings begin as normal, but that of index 0, out of
    vocabulary, as zero. All are drawn from torch's global generator.

    Examples
    --------
    >>> spec = ModelSpec(row_size=3, layers=(LayerSpec("gru", 8), LayerSpec("lstm", 4)),
    ...                  output_size=1)
    >>> outputs, state = Network(spec)(torch.zeros(2, 5, 3))
    >>> outputs.shape, [tuple(part.shape) for part in state]
    (torch.Size([2, 5, 1]), [(2, 8), (2, 4), (2, 4)])
    """

    def __init__(self, spec: ModelSpec, dropout: float = 0.0) -> None:
        super().__init__()
        refuse_unsupported(spec, "networks", _IMPLEMENTED)
        self.spec = spec
        self.embeddings = nn.ModuleList(
            nn.Embedding(category.size, category.embedding_size) for category in spec.categories
        )
        self.layers = nn.ModuleList(
            _layer(layer, size) for layer, size in zip(spec.layers, spec.input_sizes, strict=True)
        )
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(spec.layers[-1].hidden_size, spec.output_size)
        number_columns = torch.tensor(spec.number_columns, dtype=torch.long)
        self.register_buffer("_number_columns", number_columns, persistent=False)
        _initialise(self)

    def forward(self, rows: torch.Tensor, state: State | None = None) -> tuple[torch.Tensor, State]:
        """Run sessions from their first event on, or from `state`.

        Parameters
        ----------
        rows : float32 tensor (B, T, row_size)
            Encoded rows. Padding follows a session's events, where it can change none of their
            outputs.
        state : tuple of tensors, optional
            What an earlier call returned.

        Returns
        -------
        outputs : float32 tensor (B, T, output_size)
            Outputs of the head after each event.
        state : tuple of tensors
            The state after the last row, padding included.
        """
        x = self._inputs(rows)
        before = iter(state) if state is not None else None
        after: list[torch.Tensor] = []
        for spec, layer in zip(self.spec.layers, self.layers, strict=True):
            if before is None:
                x, end = layer(x)
            elif spec.cell == "lstm":
                x, end = layer(x, (next(before)[None], next(before)[None]))
            else:
                x, end = layer(x, next(before)[None])
            after += [part[0] for part in (end if spec.cell == "lstm" else (end,))]
            x = self.dropout(x)
        return self.head(x), tuple(after)

    def _inputs(self, rows: torch.Tensor) -> torch.Tensor:
        if not self.embeddings:
            return rows
        numbers = rows.index_select(-1, self.get_buffer("_number_columns"))
        embedded = [
            embedding(rows[..., category.column].long())
            for category, embedding in zip(self.spec.categories, self.embeddings, strict=True)
        ]
        return torch.cat([numbers, *embedded], dim=-1)


def _layer(spec: LayerSpec, input_size: int) -> nn.RNNBase:
    if spec.cell == "gru":
        return nn.GRU(input_size, spec.hidden_size, batch_first=True)
    if spec.cell == "lstm":
        return nn.LSTM(input_size, spec.hidden_size, batch_first=True)
    return nn.RNN(input_size, spec.hidden_size, nonlinearity=spec.activation, batch_first=True)


def _initialise(network: Network) -> None:
    for embedding in network.embeddings:
        # Training may never see a value that is out of vocabulary: it then counts for nothing.
        nn.init.zeros_(embedding.get_parameter("weight")[0])
    for spec, layer in zip(network.spec.layers, network.layers, strict=True):
        gates = GATES[spec.cell]
        # Gate by gate: stacked, a matrix would be scaled for three or four times its outputs.
        for block in layer.get_parameter("weight_ih_l0").chunk(len(gates)):
            nn.init.xavier_uniform_(block)
        for block in layer.get_parameter("weight_hh_l0").chunk(len(gates)):
            nn.init.orthogonal_(block)
        nn.init.zeros_(layer.get_parameter("bias_ih_l0"))
        nn.init.zeros_(layer.get_parameter("bias_hh_l0"))
        if spec.cell == "lstm":
            biases = layer.get_parameter("bias_ih_l0").chunk(len(gates))
            nn.init.ones_(biases[gates.index("f")])
    nn.init.xavier_uniform_(network.head.weight)
    nn.init.zeros_(network.head.bias)

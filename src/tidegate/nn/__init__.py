"""Networks: recurrent layers, their cells, and the torch side of a model spec."""

from tidegate.nn.cells import GRUCell, LSTMCell, RNNCell, State
from tidegate.nn.initialise import chrono, initialise
from tidegate.nn.minimal import MinGRU, MinLSTM
from tidegate.nn.model import Network
from tidegate.nn.recurrent import GRU, LSTM, RNN
from tidegate.nn.torch_weights import from_torch, to_torch
from tidegate.nn.weights import load_bundle, named_weights, to_bundle

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "GRUCell",
    "LSTMCell",
    "MinGRU",
    "MinLSTM",
    "Network",
    "RNNCell",
    "State",
    "chrono",
    "from_torch",
    "initialise",
    "load_bundle",
    "named_weights",
    "to_bundle",
    "to_torch",
]

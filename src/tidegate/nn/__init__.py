"""Networks: the torch side of a model spec."""

from tidegate.nn.model import Network, State
from tidegate.nn.weights import load_bundle, to_bundle

__all__ = ["Network", "State", "load_bundle", "to_bundle"]

"""What every task's training half is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tidegate.data.targets import Targets
from tidegate.nn import Network
from tidegate.schema import Schema
from tidegate.spec import TaskSpec

__all__ = ["Task"]


class Task(ABC):
    """A task's training half: what the network learns, and how wrong it is.

    Parameters
    ----------
    spec : TaskSpec
        The task, fitted.

    Attributes
    ----------
    watch : str
        The metric of its answer half that early stopping watches unless told otherwise.
    reads_states : bool
        Training takes `states_loss`: where a head has very many outputs, a step need not make all.
    """

    watch: str
    reads_states: bool = False

    def __init__(self, spec: TaskSpec) -> None:
        self.spec = spec

    @abstractmethod
    def targets(
        self, truth: NDArray[np.float64], rows: NDArray[np.float32]
    ) -> NDArray[np.float32] | Targets:
        """Turn the truth into what the outputs are compared with.

        Parameters
        ----------
        truth : float64 array (events,) or (events, n)
            From the answer half's `truth`.
        rows : float32 array (events, row_size)
            The events, encoded.

        Returns
        -------
        float32 array (events,) or (events, n), or Targets
            NaN where nothing is learned.
        """

    @abstractmethod
    def loss(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the mean loss of what is known.

        Parameters
        ----------
        outputs : float32 tensor (..., output_size)
            Outputs of the head.
        targets : float32 tensor (...) or (..., n)
            From `targets`. Where it is NaN, nothing is contributed: no loss and no gradient.

        Returns
        -------
        float32 tensor ()
            Zero when nothing is known.
        """

    def states_loss(
        self, states: torch.Tensor, head: torch.nn.Linear, targets: torch.Tensor
    ) -> torch.Tensor:
        """Return the loss that training takes, of a task that reads states.

        Parameters
        ----------
        states : float32 tensor (..., hidden_size)
            What goes up from the last layer.
        head : Linear
            The network's head.
        targets : float32 tensor (...)
            As in `loss`.
        """
        return self.loss(head(states), targets)

    @abstractmethod
    def constant_loss(self, targets: NDArray[np.float32] | Targets) -> float | None:
        """Return the loss of the best outputs that never change; None: it is not known."""

    def readout(self, schema: Schema) -> dict[str, Any]:  # noqa: ARG002
        """Return the members of `ModelSpec` that say what is answered with."""
        return {}

    def furnish(self, network: Network, schema: Schema) -> None:  # noqa: B027 - most have no need
        """Change a network that was just made, before it learns: tie weights, say."""

    def finish(
        self,
        network: Network,  # noqa: ARG002
        outputs: NDArray[np.float32],  # noqa: ARG002
        truth: NDArray[np.float64],  # noqa: ARG002
    ) -> TaskSpec:
        """Settle what the validation part decides, once the network has learned.

        Parameters
        ----------
        network : Network
            With the weights of its best epoch; may be changed in place.
        outputs : float32 array (events, answer_size)
            What it answers to the validation part.
        truth : float64 array (events,) or (events, n)
            Of that part.

        Returns
        -------
        TaskSpec
            What the task has become.
        """
        return self.spec

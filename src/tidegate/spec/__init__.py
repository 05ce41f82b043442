"""What a model is (`model`), and what it is for (`task`).

Both travel in the bundle; what an engine cannot run it refuses by name.
"""

from tidegate.spec.model import (
    GATES,
    LOG_SCALES,
    MAX_SESSION_BYTES,
    MOST_INDICES,
    Activation,
    Bias,
    CategoryInput,
    Cell,
    LayerSpec,
    ModelSpec,
    Readout,
    SurprisePart,
)
from tidegate.spec.task import (
    LABELLED,
    AnomalySpec,
    ForecastSpec,
    ItemLoss,
    ItemsSpec,
    TaskName,
    TaskSpec,
)

__all__ = [
    "GATES",
    "LABELLED",
    "LOG_SCALES",
    "MAX_SESSION_BYTES",
    "MOST_INDICES",
    "Activation",
    "AnomalySpec",
    "Bias",
    "CategoryInput",
    "Cell",
    "ForecastSpec",
    "ItemLoss",
    "ItemsSpec",
    "LayerSpec",
    "ModelSpec",
    "Readout",
    "SurprisePart",
    "TaskName",
    "TaskSpec",
]

from pathlib import Path

import pytest
from rises import write

from tidegate.train import TrainConfig, load_config


@pytest.fixture
def config(tmp_path: Path) -> TrainConfig:
    return load_config(write(tmp_path))

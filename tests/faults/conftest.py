"""Where campaigns are, and what they survived."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from faults.campaign import Campaign
from faults.tally import TALLY


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if TALLY.events:
        terminalreporter.write_line(f"faults: {TALLY}")


@pytest.fixture
def campaign(
    saved_bundle: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Callable[..., Campaign]]:
    """Make campaigns that end with the test; the seed is of the test's name, unless it is given."""
    with ExitStack() as opened:

        def make(seed: int | None = None, **options: Any) -> Campaign:
            if seed is None:
                seed = random.Random(request.node.name).getrandbits(32)
            folder = tmp_path / f"campaign-{len(made)}"
            made.append(opened.enter_context(Campaign(saved_bundle, folder, seed, **options)))
            return made[-1]

        made: list[Campaign] = []
        yield make

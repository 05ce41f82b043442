"""Models for tests of the kernels, and every instruction set of this machine."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tidegate import core


@pytest.fixture
def isa_of_the_machine() -> Iterator[None]:
    """Whatever set a test uses, the next one finds the one it had."""
    before = core.isa()
    yield
    core.use_isa(before)


@pytest.fixture(params=core.isas())
def isa(request: pytest.FixtureRequest, isa_of_the_machine: None) -> str:
    core.use_isa(request.param)
    return request.param

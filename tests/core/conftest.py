"""Every instruction set of this machine."""

from __future__ import annotations

import pytest

from tidegate import core


@pytest.fixture(params=core.isas())
def isa(request: pytest.FixtureRequest, isa_of_the_machine: None) -> str:
    core.use_isa(request.param)
    return request.param

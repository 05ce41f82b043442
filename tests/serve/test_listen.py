from __future__ import annotations

import subprocess
import sys

import pytest

LIMITED = """
import resource, sys
from tidegate.serve.listen import allow_files
resource.setrlimit(resource.RLIMIT_NOFILE, (64, int(sys.argv[1])))
print(allow_files(100), *resource.getrlimit(resource.RLIMIT_NOFILE))
"""


@pytest.mark.parametrize(
    ("hard", "room", "soft"), [(4096, 100, 612), (612, 100, 612), (552, 40, 552), (100, 1, 100)]
)
def test_open_files_are_allowed_as_far_as_the_system_does(hard, room, soft):
    command = [sys.executable, "-c", LIMITED, str(hard)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert [int(word) for word in done.stdout.split()] == [room, soft, hard]

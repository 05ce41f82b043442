from __future__ import annotations

import socket
import subprocess
import sys

import pytest

from tidegate.serve.listen import bind

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


def test_no_answer_waits_for_the_network_to_fill_a_packet():
    with bind("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()):
        listener.setblocking(True)
        with listener.accept()[0] as connection:
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)

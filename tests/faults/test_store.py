"""The store alone, with groups in flight: what is there after a fault is a first part of them."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import faults
import pytest
from faults.disk import Disk
from faults.layer import Layer
from faults.storm import changes
from faults.tally import TALLY, say

import tidegate

IN_FLIGHT = 6


class Storm:
    """Groups without end, in a process that dies; and what has to be there."""

    def __init__(self, tmp_path, seed):
        say(f"seed {seed}")
        self.seed = seed
        self.rng = random.Random(seed)
        self.layer = Layer(tmp_path / "faults", tmp_path / "disk")
        self.disk = Disk(self.layer.prefix, self.layer.recording, seed)
        self.acknowledged = self.sent = 0
        self.states = [{}]

    def state(self, number):
        """The keys after the first groups, with the group and the length of each value."""
        while len(self.states) <= number:
            following = dict(self.states[-1])
            for key, value in changes(self.seed, len(self.states)).items():
                following.pop(key.decode(), None)
                if value is not None:
                    following[key.decode()] = [len(self.states), len(value)]
            self.states.append(following)
        return self.states[number]

    def live(self, groups):
        """Open it, judge what is there, and go on until it dies, or so many groups are done."""
        command = [sys.executable, "-m", "faults.storm", str(self.layer.prefix / "store")]
        command += [str(self.seed), str(IN_FLIGHT)]
        paths = [Path(module.__path__[0]).parent for module in (tidegate, faults)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths))}
        with subprocess.Popen(
            command,
            env={**environment, **self.layer.environment()},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            first = process.stdout.readline()
            if first:
                self.judge(json.loads(first))
                process.stdin.write(f"{self.acknowledged}\n")
                process.stdin.flush()
                began = self.acknowledged
                for line in process.stdout:
                    if line.startswith('"'):
                        break
                    self.acknowledged = int(line)
                    if self.acknowledged - began == groups:
                        process.kill()
            status = process.wait(30)
        assert status in (0, -9), status
        TALLY.kills += status == -9
        # What was not waited for may be there too.
        self.sent = self.acknowledged + IN_FLIGHT
        self.disk.read()
        return status

    def judge(self, state):
        for number in range(self.acknowledged, self.sent + 1):
            if state == self.state(number):
                self.acknowledged = number
                return
        older = [n for n in range(self.acknowledged) if state == self.state(n)]
        raise AssertionError(f"{self.acknowledged} groups were done; found {older or state}")


@pytest.mark.parametrize("loss", ["none", "whole", "partly"])
def test_groups_survive_in_order(tmp_path, request, loss):
    storm = Storm(tmp_path, random.Random(request.node.name).getrandbits(32))
    rng = storm.rng
    storm.live(60)
    for _ in range(4):
        kind = rng.choice(["write", "sync", "sync", "create", "dirsync", "unlink", "rename"])
        storm.layer.kill(kind, after=rng.random() < 0.5, nth=rng.randint(1, 12))
        storm.live(400)
        storm.layer.clear()
        if loss != "none":
            storm.disk.lose_power(partly=loss == "partly")
            TALLY.faults += 1
    storm.live(20)
    TALLY.events += storm.acknowledged
    storm.layer.close()

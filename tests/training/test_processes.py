"""Trainings in other processes: killed ones, and several that train together."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from toy_learning import Noisy, line_rows
from training_victim import KILLED, SHARED

from rtma_diffda.errors import UsageError
from rtma_diffda.io.tensor_file import read_tensors
from rtma_diffda.training.distributed import Processes, joined_processes
from rtma_diffda.training.loop import train
from rtma_diffda.training.metrics import read_metrics

VICTIM = Path(__file__).with_name("training_victim.py")


def trained(model, directory, settings):
    return train(model, line_rows(64), validation=line_rows(30, seed=1), settings=settings, directory=directory)


@pytest.fixture(scope="module")
def victims(tmp_path_factory):
    """The directory in which other processes trained, and how each of them ended."""
    root = tmp_path_factory.mktemp("victims")
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = str(found.getsockname()[1])
    meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    command = [sys.executable, str(VICTIM), str(root)]
    outcome = subprocess.run(command, env=os.environ | meeting, capture_output=True, text=True, timeout=200)
    assert outcome.returncode == 0, outcome.stderr
    statuses = json.loads((root / "statuses.json").read_text())
    assert statuses == {"update": -signal.SIGKILL, "save": -signal.SIGKILL, "0": 0, "1": 0}, outcome.stderr
    return root


@pytest.mark.parametrize("name", ["update", "save"])
def test_a_killed_training_goes_on_to_the_same_bits(victims, tmp_path, name):
    directory = victims / name
    facts = read_tensors(directory / "state.safetensors")[1]
    assert facts["progress"]["update"] == 10, "the state of update 10 is whole, whatever came after it"
    whole, resumed = trained(Noisy(), tmp_path, KILLED), trained(Noisy(), directory, KILLED)
    assert all(torch.equal(resumed.weights[name], values) for name, values in whole.weights.items())
    assert resumed.progress.best_loss == whole.progress.best_loss
    rows = read_metrics(directory / "metrics.jsonl")
    assert [row["update"] for row in rows if "loss" in row] == list(range(1, 41))
    left = sorted(path.name for path in directory.iterdir())
    assert left == ["metrics.jsonl", "state.safetensors"], "what the dead left behind is removed"


def test_two_processes_equal_one(victims, tmp_path):
    require_equal_to_one(victims, tmp_path)


@pytest.mark.slow
def test_torchrun_launches_it(tmp_path):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    subprocess.run([*command, str(VICTIM), str(tmp_path), "share"], check=True, timeout=200)
    require_equal_to_one(tmp_path, tmp_path / "one")


def require_equal_to_one(root: Path, single: Path) -> None:
    whole = trained(Noisy(running=False), single, SHARED)
    shared = torch.load(root / "final.pt", weights_only=True)
    for name, values in whole.weights.items():
        torch.testing.assert_close(shared[name], values, atol=1e-6, rtol=0)
    ours, theirs = (read_metrics(path / "metrics.jsonl") for path in (single, root / "share"))
    assert [row["update"] for row in ours] == [row["update"] for row in theirs]
    for own, other in zip(ours, theirs, strict=True):
        loss, same = (row.get("loss") or row["validation"]["loss"] for row in (own, other))
        assert loss == pytest.approx(same, abs=1e-5)


def test_parts_must_be_shared_equally():
    three = Processes(1, 3, torch.device("cpu"))
    assert list(three.share(6)) == [1, 4]
    three.require_share(6)
    with pytest.raises(UsageError, match="3 processes cannot share batches of 4 parts"):
        three.require_share(4)


def test_an_unknown_device_is_refused():
    with pytest.raises(UsageError, match="device 'abacus' is unknown"), joined_processes("abacus"):
        pass
    with joined_processes("cpu") as alone:
        assert alone.is_first and list(alone.share(3)) == [0, 1, 2]

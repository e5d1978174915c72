"""Distributed training: several ranks give the same result as one process, within rounding."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from dancebench.core.errors import BenchError
from dancebench.core.nn import distributed
from dancebench.datasets.subjects.dataset import Subject
from dancebench.synth.base import Schedule
from dancebench.synth.gan.method import GanConfig
from dancebench.synth.training import loop
from dancebench.synth.training.synthesizer import TrainJob, TrainRecord, train

CONFIG = GanConfig(long_side=64, ngf=4, n_down=2, n_blocks=1, ndf=4, n_scales=1, schedule=Schedule(steps=4, batch=2))

SCRIPT = """
import sys
from pathlib import Path
import torch
from dancebench.core.nn import distributed
from dancebench.core.workspace import Workspace
from dancebench.datasets.subjects.dataset import Dataset
from dancebench.synth.gan.method import GanConfig
from dancebench.synth.training.synthesizer import TrainJob, train

torch.set_num_threads(1)
distributed.join_process_group("cpu")
root, config = Path(sys.argv[1]), GanConfig.model_validate_json(sys.argv[2])
subject = Dataset.open(Workspace(root), "toy").subject("walker")
train(TrainJob("fbf-ts", "tiny", config, "d" * 64, subject, root / "two"))
distributed.leave_process_group()
"""


@pytest.mark.long
def test_two_processes_train_what_one_trains(walker: Subject, tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(SCRIPT)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [*launcher, str(script), str(tmp_path), CONFIG.model_dump_json()]
    completed = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert completed.returncode == 0, completed.stderr
    one = train(TrainJob("fbf-ts", "tiny", CONFIG, "d" * 64, walker, tmp_path / "one"))
    two = TrainRecord.load(tmp_path / "two" / "train.json")
    assert (one.processes, two.processes) == (1, 2)
    assert two.phases[0].losses == pytest.approx(one.phases[0].losses, rel=2e-3)
    weights_of_one, weights_of_two = (load_file(tmp_path / name / "weights.safetensors") for name in ("one", "two"))
    for name, value in weights_of_one.items():
        if value.ndim > 1:  # biases before an instance norm have no gradient except rounding errors
            assert torch.quantile((value - weights_of_two[name]).abs().flatten(), 0.9) < 2e-4, name


def test_a_single_process_shares_and_averages_nothing() -> None:
    assert distributed.world_size() == 1
    assert distributed.is_main_process()
    assert distributed.broadcast(3) == 3
    value = {"a": torch.tensor(2.0)}
    assert distributed.average_values(value) is value


def test_a_batch_that_cannot_be_divided_is_refused(
    monkeypatch: pytest.MonkeyPatch, walker: Subject, tmp_path: Path
) -> None:
    monkeypatch.setattr(loop, "world_size", lambda: 2)
    config = CONFIG.model_copy(update={"schedule": Schedule(steps=1, batch=3)})
    with pytest.raises(BenchError, match="batch of 3 cannot be divided among 2 processes"):
        train(TrainJob("fbf", "tiny", config, "d" * 64, walker, tmp_path / "x"))

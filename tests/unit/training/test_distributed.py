"""Two processes on CPUs (gloo), started through torch's elastic launcher, against one."""

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from robustlaws.data import shards
from robustlaws.runtime import job_facts, resumable_state
from robustlaws.runtime.signals import Stopped
from robustlaws.settings import Compute, Curve
from robustlaws.storage import provenance
from robustlaws.training import distributed
from robustlaws.training.run_state import Run
from tests.support.jobs import job
from tests.support.training_ranks import SETTINGS, long, off
from tests.support.training_runs import _batches, train, training_settings

# Stated tolerance: 8 steps in float32; a sign in the attack may turn with the rounding of a sum.
LOSS_OFF, WEIGHTS_OFF = 1e-3, 1e-3
ROOT = Path(__file__).parents[3]


def test_two_processes_train_the_same_run_as_one(study):
    train(study, "one", training_settings(**SETTINGS))
    # what ranks of a launcher that was killed may still write is not this job's
    (study / "two.partial").mkdir()
    (study / "two.partial" / "failed-elsewhere-1.json").write_text('{"error": "Stopped", "says": "gone"}')
    outputs = [str(study / f"two{kind}") for kind in (".safetensors", "-best.safetensors", ".parquet")]
    with job_facts.of_job(job(*outputs)):
        train(study, "two", training_settings(**SETTINGS), processes=2)
    # a rank that writes the files of the job is another process
    assert [provenance.read(path)["output"] for path in outputs] == outputs
    losses, weights = off(study, "one", "two")
    print(f"\ntwo gloo processes against one: losses off by {losses:.1e}, weights by {weights:.1e}")
    assert losses < LOSS_OFF
    assert weights < WEIGHTS_OFF
    assert not (study / "two.partial").exists()


def test_two_nodes_are_two_launchers_that_meet(study, tmp_path):
    # stands for srun: starts the command after it twice, as if on two nodes
    twice = (
        "import subprocess, sys; started = [subprocess.Popen(sys.argv[1:]) for _ in range(2)];"
        " sys.exit(max(process.wait() for process in started))"
    )
    train(study, "one", training_settings(**SETTINGS))
    train(study, "two", training_settings(**SETTINGS), nodes=2, node_command=(sys.executable, "-c", twice))
    losses, weights = off(study, "one", "two")
    assert losses < LOSS_OFF
    assert weights < WEIGHTS_OFF


def test_a_time_budget_stops_all_processes(study):
    with pytest.raises(Stopped, match="the time budget is used up.* at step 0 of 8, state saved"):
        train(study, "cut", training_settings(**SETTINGS), processes=2, budget_minutes=1e-9)
    assert len(list((study / "cut.partial").glob("state-*.pt"))) == 1


JOB = """
import sys
from pathlib import Path
from tests.support.training_ranks import long
from tests.support.jobs import job
from tests.support.training_runs import train
train(Path(sys.argv[1]), "cut", long(), processes=2)
"""


@pytest.fixture
def large(study):
    """The study's folder with as many images as the long run draws from."""
    images, labels = shards.read(study / "shard.h5")
    shards.write(study / "shard.h5", np.tile(images, (3, 1, 1, 1)), np.tile(labels, 3), {})
    return study


def test_two_processes_stop_at_a_signal_and_resume(large):
    train(large, "whole", long(), processes=2)
    job = subprocess.Popen([sys.executable, "-c", JOB, str(large)], stderr=subprocess.PIPE, text=True, cwd=ROOT)
    output = ""
    while "of 480 images" not in output:
        line = job.stderr.readline()
        assert line, output
        output += line
    time.sleep(0.3)
    os.kill(job.pid, signal.SIGTERM)
    _, rest = job.communicate(timeout=60)
    assert job.returncode == 1
    assert "Stopped: wrn-10-1/edm-3/128/1: stopped (SIGTERM) at step" in rest.splitlines()[-1]
    (state,) = (large / "cut.partial").glob("state-*.pt")
    assert 0 < resumable_state.read(state)["step"] < 60
    train(large, "cut", long(), processes=2)
    losses, weights = off(large, "whole", "cut")
    assert losses < LOSS_OFF
    assert weights < WEIGHTS_OFF


def test_an_error_of_a_rank_is_this_jobs_one_line(study):
    with pytest.raises(ValueError, match="the loss is nan at step . of|lower training.learning_rate"):
        train(study, "run", training_settings(**SETTINGS, learning_rate=1e30), processes=2)
    with pytest.raises(ValueError, match="a batch of 8 images cannot be split into 5 parts for 2 processes"):
        train(study, "other", training_settings(**SETTINGS, accumulate=5), processes=2)


def test_a_gpu_that_is_not_there_is_one_line(study):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    for gpus in (1, 2):
        with pytest.raises(ValueError, match=f"compute.gpus: {gpus} asked for, torch .* sees none here; set it to 0"):
            train(study, "run", gpus=gpus)


def test_batch_parts_sum_to_the_gradient_of_the_whole(study, monkeypatch):
    # in eval mode BatchNorm couples no images, so the parts must add up exactly
    gradients = []
    for parts in (1, 4):
        own = training_settings(accumulate=parts, attack_steps=3)
        run = Run(own, distributed.SingleProcess(torch.device("cpu")), _batches(study, own))
        run.network.eval()
        monkeypatch.setattr(run.optimiser, "step", lambda *_: None)
        run.advance()
        gradients.append([parameter.grad.clone() for parameter in run.network.parameters()])
    for whole, summed in zip(*gradients, strict=True):
        assert torch.allclose(whole, summed, rtol=1e-4, atol=1e-6)


def test_bfloat16_stays_close_and_its_weights_are_float32(study):
    train(study, "one", training_settings())
    train(study, "low", training_settings(precision="bfloat16"))
    losses, _ = off(study, "one", "low")
    assert 0 < losses < 0.1
    assert {tensor.dtype for tensor in load_file(study / "low.safetensors").values()} == {torch.float32, torch.int64}


def test_bfloat16_and_parts_go_with_two_processes(study):
    own = training_settings(**{**SETTINGS, "images": 128}, precision="bfloat16", accumulate=2)
    train(study, "one", own)
    train(study, "two", own, processes=2)
    losses, _ = off(study, "one", "two")
    print(f"\nbfloat16 in two parts, two processes against one: losses off by {losses:.1e}")
    assert losses < 0.1  # bfloat16 has three digits


def test_a_captured_network_trains_the_same_run(study, monkeypatch):
    # the capture alone: what torch.compile makes of the graph then needs a C++ compiler and most of a minute
    captured = []
    monkeypatch.setattr(
        torch, "compile", partial(torch.compile, backend=lambda graph, _: captured.append(graph) or graph)
    )
    own = training_settings(images=32, attack_steps=2, curve=Curve((1.0,), 20, 2, 0.1, 4))
    train(study, "one", own)
    assert not captured
    train(study, "compiled", own, compile=True)
    assert captured
    losses, weights = off(study, "one", "compiled")
    assert losses < LOSS_OFF
    assert weights < WEIGHTS_OFF


def test_compute_counts_its_processes():
    assert Compute(gpus=4, nodes=2).ranks == 8
    assert Compute(processes=2).ranks == 2
    assert Compute().ranks == 1

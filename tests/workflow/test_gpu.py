"""The tiny study on a GPU, every stage."""

import pytest
import torch

from robustlaws.storage import tables
from tests.support.checkouts import fresh_checkout

pytestmark = [
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU here"),
]


def test_the_tiny_study_on_a_gpu(tmp_path):
    checkout = fresh_checkout(tmp_path / "checkout")
    checkout.configure(lambda config: config["compute"].update(gpus=1))
    done = checkout.snakemake("--cores", "8", "--scheduler", "greedy")
    assert done.returncode == 0, done.stdout + done.stderr
    results = checkout.folder / "results/tiny"
    assert (results / "report.html").is_file()
    runs = tables.read(results / "tables/runs.parquet", tables.RUNS)
    assert runs["adv_loss"].between(0.5, 20).all()
    assert checkout.planned() == {}

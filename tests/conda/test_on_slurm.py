"""The same on a cluster: Snakemake makes the environments on the login node, SLURM's jobs run in them."""

import pytest

from tests.support.conda_studies import LAWS, RULES, lacks, login
from tests.support.slurm import cluster, why_not

# or the first look is after 40 s
WATCHED = ("--slurm-init-seconds-before-status-checks", "2", "--seconds-between-status-checks", "2")


@pytest.fixture
def slurm():
    if reason := why_not():
        pytest.skip(reason)
    with cluster() as running:
        yield running


def test_a_job_of_slurm_runs_each_rule_in_its_environment(conda, driver, slurm, tmp_path):
    assert lacks(driver, "torch")
    checkout = login(tmp_path / "checkout", conda, driver)
    done = checkout.snakemake(
        "--executor", "slurm", "--jobs", "2", "--slurm-status-command", "squeue", *WATCHED,
        "--groups", "import_data=mixed", "fit_accuracy=mixed", "--group-components", "mixed=2",
        "--allowed-rules", *RULES, "--", "results/tiny/data/train.h5", f"{LAWS}/accuracy.json",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert checkout.environment_of("data/import") == "gpu"
    assert checkout.environment_of("laws/accuracy") == "analysis"
    assert [job["JobState"] for job in slurm.jobs().values()] == ["COMPLETED"]

"""What the profile makes of what a site decides, without a SLURM."""

import subprocess

import pytest

from tests.support.checkouts import fresh_checkout
from tests.support.cluster_studies import SNAKEMAKE, site, small


@pytest.fixture
def checkout(tmp_path):
    made = fresh_checkout(tmp_path / "checkout")
    (made.folder / "slurm").symlink_to("profiles/slurm")
    made.configure(small)
    return made


def planned(checkout, *arguments):
    """Return the lines of resources in a dry run, those of each rule or group once."""
    command = [SNAKEMAKE, "--profile", "slurm", "--configfile", "study.yaml", "--nocolor", "--dry-run", *arguments]
    done = subprocess.run(command, cwd=checkout.folder, capture_output=True, text=True, check=False, timeout=120)
    output = done.stdout + done.stderr
    assert done.returncode == 0, output
    rule, asked = None, {}
    for line in map(str.strip, output.splitlines()):
        if line.startswith("rule "):
            rule = line.split()[1].rstrip(":")
        elif line.startswith("resources: "):
            words = line.removeprefix("resources: ").split(", ")
            asked[rule] = dict(word.split("=", 1) for word in words if "=" in word)
    return asked


def test_what_the_site_decides_reaches_the_jobs_and_groups_agree(checkout):
    decided = {"account": "lab", "partition": "cpu", "gpu_partition": "gpu", "gpu_model": "a100", "mail": "me@lab"}
    site(checkout, compute="{gpus: 2}", shards_of_a_job=8, extra="--nice=100", **decided)
    asked = planned(checkout)
    assert all(asked[rule]["slurm_account"] == "lab" for rule in asked)
    assert all(asked[rule]["slurm_extra"] == "--mail-user=me@lab --mail-type=FAIL --nice=100" for rule in asked)
    on_gpus = {rule for rule in asked if asked[rule].get("gpu", "0") != "0"}
    assert on_gpus == {rule for rule in asked if asked[rule].get("gpu_model") == "a100"}
    # in one group with measure_shard, so in its partition
    assert on_gpus | {"measure_quality"} == {rule for rule in asked if asked[rule]["slurm_partition"] == "gpu"}
    assert asked["train_run"]["gpu"] == "2"


def test_a_run_on_several_nodes_asks_for_what_each_of_them_has(checkout):
    site(checkout, compute="{gpus: 2, nodes: 3}", gpu_model="a100")
    asked = planned(checkout)["train_run"]
    assert (asked["nodes"], asked["gres"]) == ("3", "gpu:a100:2")
    assert not {"gpu", "gpu_model", "tasks"} & set(asked)  # the plugin would make another sum of them


def test_no_retries_and_no_groups_in_rules(checkout):
    for path in checkout.folder.glob("workflow/rules/*.smk"):
        words = {line.strip() for line in path.read_text().splitlines()}
        assert not {word for word in words if word.startswith(("retries:", "group:"))}, path

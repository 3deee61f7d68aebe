"""The study on a real SLURM of two nodes: every job through sbatch, and what happens to those that are cut off."""

import re
import shutil
import subprocess

import pytest
from safetensors.numpy import load_file

from tests.support.checkouts import fresh_checkout
from tests.support.cluster_studies import LONG, SNAKEMAKE, site, small
from tests.support.slurm import run, until

# looked at more often than a real cluster would like
OFTEN = (
    "--slurm-init-seconds-before-status-checks=8", "--seconds-between-status-checks=8",
    "--max-status-checks-per-second=1", "--latency-wait=10",
)  # fmt: skip


def larger(config):
    """Add a dataset, and a run on it, to the small study."""
    small(config)
    config["datasets"]["edm-3"] = {"generator": "edm", "steps": 3, "images": 512}
    config["grid"].append({"models": ["wrn-10-1"], "datasets": ["edm-3"], "sizes": [128]})


class Driver:
    """`snakemake --profile slurm` in a checkout: the running process and what it has said."""

    def __init__(self, checkout, *arguments):
        self.path = checkout.folder / "driver.log"
        command = ["setpriv", "--pdeathsig", "KILL", SNAKEMAKE, "--profile", "slurm", "--configfile", "study.yaml"]
        with self.path.open("w") as log:
            self.process = subprocess.Popen(
                [*command, "--nocolor", *OFTEN, *arguments], cwd=checkout.folder, stdout=log, stderr=log
            )

    @property
    def output(self):
        return self.path.read_text()

    @property
    def submitted(self):
        """Numbers of the SLURM jobs that Snakemake says it submitted, in order."""
        return [int(number) for number in re.findall(r"has been submitted with SLURM jobid (\d+)", self.output)]

    def end(self, seconds=900):
        """Wait for the end, which must be a good one."""
        assert self.process.wait(seconds) == 0, self.output


def running(slurm, what):
    """Wait until a job whose comment has `what` runs; return its number."""

    def result():
        return [
            number
            for number, job in slurm.jobs().items()
            if what in job.get("Comment", "") and job["JobState"] == "RUNNING"
        ]

    return until(result, f"a running job of {what}", 600, 0.2)[-1]


def time_out(slurm, checkout):
    """Let SLURM end the long run by its time limit, after it has saved a state and before it is done."""
    saved = checkout.folder / f"results/tiny/{LONG}/weights.safetensors.partial"
    number = running(slurm, "train_run_wildcards_wrn-10-1_edm-4_1024_1")
    until(lambda: len([*saved.glob("state-*.json")]) == 2, "a second saved state", 300, 0.01)
    # it must not be over before the limit, which SLURM looks at every half a minute
    run("scancel", "--signal=STOP", str(number))
    assert not saved.with_suffix("").exists(), "the run ended too early for the test"
    run("scontrol", "update", f"JobId={number}", "EndTime=now+1")


@pytest.fixture(scope="module")
def finished(slurm, tmp_path_factory):
    """The small study, through SLURM, with one job cut off by its time limit, one cancelled, one out of memory."""
    if not slurm.cgroups:
        pytest.skip("SLURM cannot hold jobs in cgroups here: what its limits end would go on")
    checkout = fresh_checkout(tmp_path_factory.mktemp("cluster") / "checkout")
    (checkout.folder / "slurm").symlink_to("profiles/slurm")
    checkout.configure(small)
    site(checkout, shards_of_a_job=2, attacks_of_a_job=3)
    # too little for the two Snakemakes of a job at first
    checkout.driver = Driver(checkout, "--set-resources", "train_features:mem_mb=100*8**(attempt-1)")
    try:
        run("scancel", str(running(slurm, "shards-edm-2")))
        time_out(slurm, checkout)
        checkout.driver.end()
    finally:
        checkout.driver.process.kill()
    return checkout


def comments(jobs):
    """Return what the jobs are called, without wildcards of a single rule's jobs."""
    return sorted(re.sub(r"^rule_|_wildcards.*", "", job["Comment"]) for job in jobs)


def test_every_job_went_through_sbatch_and_both_nodes_had_some(finished, slurm):
    jobs = slurm.jobs()
    assert sorted(finished.driver.submitted) == sorted(jobs)
    assert {job["NodeList"] for job in jobs.values()} == {"n1", "n2"}
    assert re.findall(r"localrule (\w+):", finished.driver.output) == ["all"]
    done = [job for job in jobs.values() if job["JobState"] == "COMPLETED"]
    attacks = [f"attacks-runs/wrn-10-1/{run}/1_attack" for run in ("edm-2/128", "edm-4/128", "edm-4/1024")]
    single = ["import_data", "train_features", "train_generator", *["measure_split"] * 2, *["train_run"] * 3]
    grouped = [
        "laws",
        "pages",
        "records",
        *(f"{what}-edm-{steps}" for what in ("quality", "shards") for steps in (2, 4)),
    ]
    expected = sorted([*single, *grouped, *attacks])
    assert len(done) == len(expected)
    assert all(map(str.startswith, comments(done), expected)), comments(done)
    assert (finished.folder / "results/tiny/report.html").exists()


def test_group_requests_one_jobs_resources_and_all_times(finished, slurm):
    pages, shards = (
        next(job for job in slurm.jobs().values() if what in job["Comment"]) for what in ("pages", "shards-edm-4")
    )
    assert pages["NumCPUs"] == shards["NumCPUs"] == "1"
    logs = [finished.folder / f"results/tiny/logs/generate/sample/edm-4/0000{index}.log" for index in (0, 1)]
    # one after the other
    first, second = (re.findall(r"^\S+ \S+", path.read_text(), re.M) for path in logs)
    assert first[-1] <= second[0] or second[-1] <= first[0]


def test_a_run_that_its_time_limit_ended_went_on_from_its_state(finished, slurm):
    number = next(number for number, job in slurm.jobs().items() if job["JobState"] == "TIMEOUT")
    assert f"SLURM-job '{number}' failed, SLURM status is: 'TIMEOUT'" in finished.driver.output
    log = finished.folder / "results/tiny/logs/train/wrn-10-1/edm-4/1024/1.log"
    assert re.search(r"going on at step \d+ of 32", log.read_text())


def test_its_weights_are_those_of_an_undisturbed_run(finished, tmp_path):
    alone = fresh_checkout(tmp_path / "alone")
    alone.configure(small)
    for part in ("data", "datasets"):
        shutil.copytree(finished.folder / "results/tiny" / part, alone.folder / "results/tiny" / part)
    weights = f"results/tiny/{LONG}/weights.safetensors"
    done = alone.snakemake(weights, "--rerun-triggers", "mtime")
    assert done.returncode == 0, done.stdout + done.stderr
    ours, theirs = (load_file(folder / weights) for folder in (finished.folder, alone.folder))
    assert ours.keys() == theirs.keys()
    assert all((ours[name] == theirs[name]).all() for name in ours)


def test_a_cancelled_job_and_one_without_memory_were_tried_again(finished, slurm):
    ends = {job["JobState"]: job for job in slurm.jobs().values()}
    assert sorted(ends) == ["CANCELLED", "COMPLETED", "OUT_OF_MEMORY", "TIMEOUT"]
    assert "shards-edm-2" in ends["CANCELLED"]["Comment"]
    asked = [job["MinMemoryNode"] for job in slurm.jobs().values() if "train_features" in job["Comment"]]
    assert asked == ["100M", "800M"]
    assert "status is: 'OUT_OF_MEMORY'" in finished.driver.output


def test_a_rerun_submits_nothing(finished, slurm):
    before = len(slurm.jobs())
    again = Driver(finished)
    again.end(120)
    assert "Nothing to be done" in again.output
    assert len(slurm.jobs()) == before


def test_new_dataset_adds_its_jobs_and_a_two_node_run(finished, slurm):
    finished.configure(larger)
    site(finished, compute="{nodes: 2, processes: 1}")
    before = set(slurm.jobs())
    driver = Driver(finished)
    try:
        driver.end()
    finally:
        driver.process.kill()
    new = {number: job for number, job in slurm.jobs().items() if number not in before}
    own = ["attacks-runs/wrn-10-1/edm-3/128/1", "laws", "pages", "quality-edm-3", "shards-edm-3", "train_run"]
    assert all(map(str.startswith, comments(new.values()), own)), comments(new.values())
    assert len(new) == len(own)
    trained = next(number for number, job in new.items() if "train_run" in job["Comment"])
    assert new[trained]["NodeList"] == "n[1-2]"
    steps = (slurm.folder / "slurmd.n2.log").read_text()
    assert f"launch task StepId={trained}." in steps

"""What the jobs of the tiny study asked for, beside what they took."""

import csv
import re

import pytest

SNAKEMAKES = 400  # MB, for the two that carry a job of a cluster


@pytest.fixture(scope="module")
def asked(finished):
    """Return the resources of each job that left a benchmark, as {its path: {resource: value}}."""
    done = finished.snakemake("--dry-run", "--forceall", "--quiet", "host")
    results, path = {}, None
    for line in map(str.strip, (done.stdout + done.stderr).splitlines()):
        if line.startswith("benchmark: "):
            path = finished.folder / line.removeprefix("benchmark: ")
        elif line.startswith("resources: ") and path:
            results[path] = dict(re.findall(r"(\w+)=([^,]+)", line))
            path = None
    assert len(results) > 50
    return results


def took(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file, delimiter="\t"))[-1]


def test_memory_requests_are_near_the_measured_peaks(asked):
    for path, resources in asked.items():
        resident, memory = float(took(path)["max_rss"]), int(resources["mem_mb"])
        assert 1.1 * resident + SNAKEMAKES < memory < 3 * (resident + SNAKEMAKES), (path, resident, memory)


def test_every_job_asked_for_the_time_that_it_took(asked):
    for path, resources in asked.items():
        assert float(took(path)["s"]) < 60 * int(resources["runtime"]), (path, resources)


def test_requests_name_no_gpu_or_node_on_a_laptop(asked):
    assert {resources.get("gpu", "0") for resources in asked.values()} == {"0"}
    assert not any({"nodes", "gres", "tasks"} & set(resources) for resources in asked.values())


def test_what_is_asked_makes_nothing_stale(checkout):
    checkout.configure(lambda config: config["compute"].update(budget_minutes=3, nodes=2, node_command=["env"]))
    assert checkout.planned() == {}
    resources = checkout.snakemake("--dry-run", "--forcerun", "train_run", "--quiet", "host")
    assert re.search(r"resources: .*nodes=2, tasks=2, runtime=\d+", resources.stdout + resources.stderr)


def test_nodes_without_a_launcher_fail_before_any_job(checkout):
    checkout.configure(lambda config: config["compute"].update(nodes=2))
    done = checkout.snakemake("--forcerun", "train_run")
    assert done.returncode == 1
    assert "compute.nodes: 2, and this is no cluster" in done.stderr
    assert "rule train_run" not in done.stderr
    assert "Traceback" not in done.stderr

"""What a study costs: which jobs are left, their sums, how fast they go, and how that is said."""

import json
import re
import sys
from unittest.mock import MagicMock

import pytest
import torch

from robustlaws.data import shards
from robustlaws.generators import network_files
from robustlaws.job_resources import estimate, estimate_text
from robustlaws.job_resources.job_costs import Cost, Costs
from robustlaws.networks import ddpmpp
from robustlaws.runtime import resumable_state
from robustlaws.training import loop
from robustlaws.training.distributed import SingleProcess
from tests.support.study_files import study_of

DRY_RUN = """\
Building DAG of jobs...
Job stats:
job             count
------------  -------
all                 1
attack_chunk        2
fetch_file          1
import_data         1
total               5

[Tue Nov 24 20:10:37 2026]
localrule fetch_file:
    output: data/a, b=c.gz
    wildcards: external=data/a.gz
[Tue Nov 24 20:10:37 2026]
rule import_data:
    input: data/a.gz
    reason: Missing output files: results/x/data/train.h5
[Tue Nov 24 20:10:37 2026]
group job autoattack (jobs in lexicogr. order):
    rule attack_chunk:
        output: results/x/runs/m/d/1/1/autoattack/00000.h5
        wildcards: victim=runs/m/d/1/1, attack=autoattack, chunk=00000
    rule attack_chunk:
        wildcards: victim=checkpoints/theirs, attack=autoattack, chunk=00001
[Tue Nov 24 20:10:37 2026]
rule all:
    input: results/x/report.html
Job stats:
job             count
------------  -------
all                 1
total               1

Reasons:
    forced:
        all, attack_chunk
"""


# the jobs


def test_the_jobs_of_a_dry_run_are_read_with_their_wildcards():
    assert estimate.planned(DRY_RUN) == [
        ("fetch_file", (("external", "data/a.gz"),)),
        ("import_data", ()),
        ("attack_chunk", (("victim", "runs/m/d/1/1"), ("attack", "autoattack"), ("chunk", "00000"))),
        ("attack_chunk", (("victim", "checkpoints/theirs"), ("attack", "autoattack"), ("chunk", "00001"))),
        ("all", ()),
    ]


def test_a_dry_run_with_nothing_to_do_has_no_jobs():
    assert estimate.planned("Building DAG of jobs...\nNothing to be done (all requested files are up to date).\n") == []


@pytest.mark.parametrize("change", [("rule import_data:", "job import_data:"), ("import_data         1", "x  2")])
def test_a_list_that_is_not_what_snakemake_counted_is_an_error(change):
    with pytest.raises(ValueError, match="Snakemake lists . jobs and counts ."):
        estimate.planned(DRY_RUN.replace(*change))


def test_what_snakemake_cannot_plan_is_said_in_its_own_words(tmp_path):
    (tmp_path / "Snakefile").write_text("rule all:\n    input: 'a'\nrule a:\n    input: 'none'\n    output: 'a'\n")
    with pytest.raises(ValueError, match="cannot plan this study: MissingInputException in rule a .*affected files: n"):
        estimate.dry_run(
            {}, [sys.executable, "-m", "snakemake", "--directory", str(tmp_path), "-s", f"{tmp_path}/Snakefile"]
        )


# sums


def summary(left):
    costs = {
        "shard a": [Cost("sampling", 100, 7 * 10**15, bytes=1000, kept=50)],
        "shard b": [Cost("sampling", 50, None, bytes=500, kept=40, missing="FLOPs of b: who knows")],
        "run": [
            Cost("training", 30, 2 * 10**15, 3 * 10**15, bytes=20, kept=70),
            Cost("learning curves", 5, 10**15, at_most=True),
        ],
        "file": [Cost("data", bytes=None, missing="disk of files")],
    }
    pace = {"value": 1e12, "source": "given", "runs": 0}
    return estimate.summary("study", costs, list(costs), left, pace)


def test_sums_are_by_stage_for_what_is_left_and_for_all():
    result = summary(["shard b", "run"])
    stages = {entry["stage"]: (entry["left"], entry["all"]) for entry in result["stages"]}
    assert list(stages) == ["data", "sampling", "training", "learning curves"]

    def numbers(entry, *keys):
        return [entry[key] for key in keys]

    keys = ("jobs", "images", "flops", "bytes", "unknown")
    assert numbers(stages["sampling"][0], *keys) == [1, 50, 0, 500, True]
    assert numbers(stages["sampling"][1], *keys) == [2, 150, 7e15, 1500, True]
    assert numbers(stages["training"][0], *keys, "charged") == [1, 30, 2e15, 20, False, 3e15]
    assert numbers(stages["learning curves"][0], *keys, "at_most") == [0, 5, 1e15, 0, False, True]
    assert numbers(stages["data"][0], *keys, "unknown_disk") == [0, 0, 0, 0, False, False]
    assert numbers(stages["data"][1], *keys, "unknown_disk") == [1, 0, 0, 0, False, True]
    left, whole = result["total"]["left"], result["total"]["all"]
    assert numbers(left, *keys[:1], "flops", "bytes", "at_most", "unknown") == [2, 3e15, 520, True, True]
    assert numbers(whole, *keys[:1], "flops", "bytes", "unknown_disk") == [4, 1e16, 1520, True]
    assert left["device_hours"] == pytest.approx(3e3 / 3600)
    assert whole["device_hours"] == pytest.approx(1e4 / 3600)
    assert result["kept"] == 70
    assert result["missing"] == ["FLOPs of b: who knows", "disk of files"]
    json.dumps(result, allow_nan=False)


def test_sums_do_not_depend_on_the_order_of_jobs():
    numbers = [10**21 + 1, 3, 10**20 + 7, 1, 10**22 + 9]
    costs = {str(number): [Cost("training", 1, number)] for number in numbers}
    pace = {"value": 3.0, "source": "given", "runs": 0}
    item, other = (estimate.summary("s", costs, order, order, pace) for order in (list(costs), list(costs)[::-1]))
    assert item == other


# speed


@pytest.fixture
def timed(tmp_path):
    """Return a study, its costs, its training jobs, and its folder, in which nothing is timed yet."""
    study = study_of()
    costs = Costs(study)
    jobs = [tuple(zip(("model", "dataset", "size", "seed"), name.split("/"), strict=True)) for name in study.runs]
    jobs = [("train_run", job) for job in jobs]
    return study, {job: costs.of(job[0], dict(job[1])) for job in jobs}, jobs, tmp_path


def clock(folder, job, seconds, log="training"):
    run = "/".join(value for _, value in job[1])
    for path, text in (
        (folder / "benchmarks" / "train" / f"{run}.tsv", f"s\th:m:s\tmax_rss\n{seconds}\t0:00:05\t361.26\n"),
        (folder / "logs" / "train" / f"{run}.log", log),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def flops_of(costs, job):
    return sum(cost.flops for cost in costs[job])


def test_speed_is_that_of_the_finished_runs_together(timed):
    study, costs, jobs, folder = timed
    for job, seconds in zip(jobs[:3], (10.0, 20.0, 5.0), strict=True):
        clock(folder, job, seconds)
    result = estimate.speed(study, costs, set(jobs[:2]), folder)
    assert result["value"] == pytest.approx((flops_of(costs, jobs[0]) + flops_of(costs, jobs[1])) / 30)
    assert (result["source"], result["runs"]) == ("measured", 2)


def test_speed_is_that_of_one_device_of_several(timed):
    study, costs, jobs, folder = timed
    clock(folder, jobs[0], 10.0)
    alone = estimate.speed(study, costs, jobs[:1], folder)["value"]
    study.config["compute"] |= {"gpus": 4, "nodes": 2}
    assert estimate.speed(study, costs, jobs[:1], folder)["value"] == pytest.approx(alone / 8)


def test_throughput_counts_only_the_timed_part_of_a_run(timed, caplog):
    study, costs, jobs, folder = timed
    run, kept = MagicMock(step=6), loop._States(folder / "partial", {}, SingleProcess("cpu"))
    run.settings.steps = 8
    kept.folder.mkdir()
    resumable_state.save(kept.folder, {"step": 6}, {}, 6)
    with caplog.at_level("INFO", logger="robustlaws"):
        kept.take_up(run)  # what a job really says
    before = "2026-11-24 20:10:36 INFO earlier: 2026-11-24 20:00:00 going on at step 1 of 8\n"  # and of another attempt
    clock(folder, jobs[0], 10.0, f"{before}2026-11-24 20:10:37 INFO {caplog.messages[-1]}\nlater\n")
    result = estimate.speed(study, costs, jobs[:1], folder)
    assert result["value"] == pytest.approx(flops_of(costs, jobs[0]) / 4 / 10)


def test_a_given_speed_goes_before_a_measured_one(timed):
    study, costs, jobs, folder = timed
    clock(folder, jobs[0], 10.0)
    study.config["plan"] = {"speed": 1e14}
    assert estimate.speed(study, costs, jobs, folder) == {"value": 1e14, "source": "given", "runs": 0}


@pytest.mark.parametrize("seconds", ["-", "", "0.0"])
def test_without_times_there_is_no_speed(timed, seconds):
    study, costs, jobs, folder = timed
    clock(folder, jobs[0], seconds)
    assert estimate.speed(study, costs, jobs, folder) == {"value": None, "source": "unknown", "runs": 0}


# what files say


def test_imported_images_and_networks_are_looked_up(tmp_path, study_of_checkpoint):
    study = study_of_checkpoint
    assert estimate.known(study, tmp_path).networks == {}
    images = torch.zeros((30, 8, 8, 1), dtype=torch.uint8).numpy()
    shards.write(tmp_path / "data" / "test.h5", images, range(30), {})
    network = study_of().network("edm")
    folder = tmp_path / "generators" / "edm"
    module = ddpmpp.Preconditioned(ddpmpp.build(network), 0.5)
    network_files.save(folder / "network.json", folder / "network.safetensors", module, {"kind": "edm"})
    result = estimate.known(study, tmp_path)
    assert (result.train_images, result.test_images, result.networks) == (None, 30, {"edm": network})
    # files that are to be made anew say nothing
    stale = estimate.known(study, tmp_path, [("import_data", ())])
    assert (stale.test_images, stale.networks) == (None, {"edm": network})
    stale = estimate.known(study, tmp_path, [("import_generator", (("generator", "edm"),))])
    assert (stale.test_images, stale.networks) == (30, {})


@pytest.fixture
def study_of_checkpoint():
    def change(config):
        config["generators"]["edm"] = {"kind": "edm", "checkpoint": "data/mine.pkl"}

    return study_of(change=change)


# the page


def entry(jobs, flops, **others):
    entry = estimate.Sum().as_dict(1e14) | {
        "jobs": jobs,
        "images": int(jobs * 12_345_678.9),
        "flops": flops,
        "bytes": jobs * 10**15,
    }
    return entry | {"device_hours": flops / 1e14 / 3600} | others


def many(left, whole, speed=1e14):
    marks = {"at_most": True, "unknown": True, "unknown_disk": True, "charged": whole}
    pair = {"left": entry(1234, left, **marks), "all": entry(98_765, whole, **marks)}
    names = ("generators", "training", "learning curves", "AutoAttack")
    missing = [f"FLOPs of dataset-{number}: a pipeline's network is its own" for number in range(9)]
    pace = {"value": speed, "source": "measured", "runs": 98_765}
    stages = [{"stage": name, **pair} for name in names]
    return {"study": "big", "stages": stages, "total": pair, "kept": 10**12, "missing": missing, "speed": pace}


def test_the_page_of_the_largest_study_has_at_most_100_columns():
    text = estimate_text.page(many(1.234e24, 9.876e24))
    assert max(map(len, text.splitlines())) <= 100
    row = next(line for line in text.splitlines() if line.startswith("AutoAttack"))
    assert re.findall(r"\S+", row)[1:4] == ["1,234", "/", "98,765"]
    assert "1.2e24 / 9.9e24+*" in row
    assert "3.43M / 27.4M+*" in row  # hours
    assert "and 3 more" in text


def test_learning_curves_have_no_jobs_and_images_no_sum():
    lines = estimate_text.page(many(1.0, 2.0)).splitlines()
    inside = next(line for line in lines if line.startswith("  its curves"))
    assert "98,765" not in inside
    total = next(line for line in lines if line.startswith("total"))
    assert "B" not in total.replace("PB", "").replace("EB", "")


def test_the_page_says_how_a_speed_is_given_where_none_is_known():
    result = summary(["run"]) | {"speed": {"value": None, "source": "unknown", "runs": 0}}
    for item in (*result["stages"], result["total"]):
        for which in ("left", "all"):
            item[which]["device_hours"] = None
    text = estimate_text.page(result)
    assert "plan: {speed: 1.0e+14}" in " ".join(text.split())
    row = next(line for line in text.splitlines() if line.startswith("training"))
    assert "2e15  " in row
    assert "  ?  " in row


@pytest.mark.parametrize(
    ("left", "head"),
    [
        ([], "study: nothing is left of 4 jobs"),
        (["run"], "study: 1 of 4 jobs are left"),
        (["shard a", "shard b", "run", "file"], "study: all of 4 jobs are left"),
    ],
)
def test_the_page_says_first_how_much_is_left(left, head):
    text = estimate_text.page(summary(left))
    assert text.splitlines()[0] == head
    assert ("left / all" in text) == (len(left) < 4)

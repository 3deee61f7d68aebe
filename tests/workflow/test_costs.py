"""`snakemake cost` says what Snakemake would do: before a study, after it, and when something was added."""

import json

import pytest

from tests.support.checkouts import fresh_checkout

STAGES = {
    "data": {"import_data"},
    "generators": {"train_generator", "train_extractor", "train_discriminator"},
    "sampling": {"sample_shard"},
    "quality": {"train_features", "measure_split", "measure_shard", "measure_quality"},
    "training": {"train_run"},
    "PGD": {"attack_run"},
    "AutoAttack": {"attack_chunk", "gather_chunks"},
    "human study": {"attack_inner"},  # the rest of it is analysis
}


def costs(checkout):
    """Return what `cost` prints and the numbers that it writes."""
    done = checkout.snakemake("cost")
    assert done.returncode == 0, done.stdout + done.stderr
    folder = checkout.folder / "results" / "tiny"
    assert (folder / "cost.txt").read_text() in done.stdout
    return done.stdout, json.loads((folder / "cost.json").read_text())


def jobs(result, which):
    return {entry["stage"]: entry[which]["jobs"] for entry in result["stages"] if entry[which]["jobs"]}


def of_stages(planned):
    """Return the number of planned jobs of each stage; `all` is one of them."""
    ours = {stage: sum(len(planned.get(rule, ())) for rule in rules) for stage, rules in STAGES.items()}
    ours["analysis"] = 1 + sum(map(len, planned.values())) - sum(ours.values())
    return {stage: count for stage, count in ours.items() if count}


def test_before_a_study_all_is_left_and_nothing_is_run(tmp_path):
    checkout = fresh_checkout(tmp_path / "checkout")
    text, result = costs(checkout)
    expected = of_stages(checkout.planned())
    assert jobs(result, "left") == jobs(result, "all") == expected
    assert result["total"]["left"]["jobs"] == sum(expected.values())
    assert f"tiny: all of {sum(expected.values())} jobs are left" in text
    assert result["speed"]["source"] == "unknown"
    written = {path.name for path in (checkout.folder / "results").rglob("*") if path.is_file()}
    assert written == {"cost.json", "cost.txt", "cost.log"}


def test_after_a_study_nothing_is_left_and_what_is_added_is(checkout):
    whole = of_stages(fresh_jobs(checkout))
    text, result = costs(checkout)
    assert (jobs(result, "left"), jobs(result, "all")) == ({}, whole)
    assert "tiny: nothing is left" in text
    assert (result["speed"]["source"], result["speed"]["runs"]) == ("measured", whole["training"])
    assert checkout.planned() == {}

    checkout.configure(lambda config: config["grid"][0]["sizes"].append(64))
    result = costs(checkout)[1]
    assert jobs(result, "left") == of_stages(checkout.planned())
    assert jobs(result, "left")["training"] == 2
    assert jobs(result, "all")["training"] == whole["training"] + 2
    assert result["speed"]["runs"] == whole["training"]
    # 64 images, two attack steps with the clean pass shared: ten passes
    training = next(entry for entry in result["stages"] if entry["stage"] == "training")
    assert training["left"]["images"] == 2 * 64
    assert training["left"]["device_hours"] * result["speed"]["value"] * 3600 == pytest.approx(
        training["left"]["flops"]
    )


def fresh_jobs(checkout):
    """Return the jobs of the study if nothing were there."""
    done = checkout.snakemake("--dry-run", "--forceall", "--quiet", "host")
    planned, rule = {}, None
    for line in map(str.strip, (done.stdout + done.stderr).splitlines()):
        if line.startswith(("rule ", "localrule ")):
            rule = line.split()[1].rstrip(":")
        elif line.startswith("output: ") and rule:
            planned.setdefault(rule, set()).add(line)
    return planned

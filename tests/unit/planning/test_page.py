"""The planner's page and block: what they say, what they leave out, and that the block is one that a study takes."""

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from robustlaws.laws import LAWS, additive, fit_jobs, published
from robustlaws.planning import config_block
from robustlaws.planning import page as plan_page
from robustlaws.storage import tables
from robustlaws.study import Study
from tests.support.report_pages import Page

ROOT = Path(__file__).resolve().parents[3]
SCHEMA = ROOT / "workflow/schemas/config.yaml"
CONFIGS = {name: yaml.safe_load((ROOT / f"config/{name}.yaml").read_text()) for name in ("config", "paper")}
FIDS = {"edm-3": 9.9, "edm-5": 35.0, "edm-6": 14.3, "edm-7": 6.8, "edm-10": 3.0, "edm-18": 2.2, "edm-20": 2.5}
FIDS |= {"pfgmpp-18": 1.76, "dg-18": 1.65, "dg-20": 1.6}
FITTED = ("additive", "bottleneck")
pytestmark = pytest.mark.filterwarnings("error")


def config_of(name):
    config = copy.deepcopy(CONFIGS[name])
    config["laws"]["fit"] = [law for law in config["laws"]["fit"] if law in LAWS]
    config["laws"] |= {"starts": "small", "refits": 100}
    return config


def runs_of(study, noise):
    """The runs that a study would have if approach 2 as published were true."""
    rng, rows = np.random.default_rng(0), []
    for row in study.collecting().runs:
        one_dataset = row["dataset"] in study.config["datasets"]
        fid = FIDS[row["dataset"]] if one_dataset else None
        loss = float(additive.loss(published.ADDITIVE, row["params"], row["images"], fid or 1.0))
        loss *= np.exp(noise * rng.standard_normal())
        measured = {"clean_loss": loss / 2, "clean_acc": 0.9, "adv_loss": loss, "adv_acc": max(0.0, 1 - 0.2 * loss)}
        rows.append(row | measured | {"fid": fid, "test_images": 300})
    return tables.table(rows, tables.RUNS)


class Finished:
    """A study with its fitted laws in a folder, and the planner run on it."""

    def __init__(self, name, folder, noise=1e-4, keep=lambda runs: runs["run"] != ""):
        self.config, self.folder = config_of(name), folder
        study = Study(self.config, SCHEMA)
        self.runs = runs_of(study, noise)
        self.runs = self.runs[keep(self.runs)].reset_index(drop=True)
        tables.write(folder / "runs.parquet", self.runs, tables.RUNS)
        tables.write(folder / "curves.parquet", [], tables.CURVES)
        given = {"runs_path": folder / "runs.parquet"}
        for law in FITTED:
            outputs = ("law", "allocations", "predictions", "refits", "held_out")
            paths = {f"{what}_path": folder / f"{law}_{what}" for what in outputs}
            settings = replace(study.law(law), observations="final")
            fit_jobs.fit_law(**given, curves_path=folder / "curves.parquet", **paths, settings=settings)
        accuracy = folder / "accuracy.json"
        settings = study.law("accuracy")
        fit_jobs.fit_accuracy(**given, accuracy_path=accuracy, refits_path=folder / "lines", settings=settings)
        self.settings = replace(study.plan(), law="additive")

    def write(self, name="plan", **changes):
        page, block = self.folder / f"{name}.html", self.folder / f"{name}.yaml"
        plan_page.write(
            page,
            block,
            runs_path=self.folder / "runs.parquet",
            law_paths=[self.folder / f"{law}_law" for law in FITTED],
            refits_paths=[self.folder / f"{law}_refits" for law in FITTED],
            prediction_paths=[self.folder / f"{law}_predictions" for law in FITTED],
            accuracy_path=self.folder / "accuracy.json",
            accuracy_refits_path=self.folder / "lines",
            folder=self.folder,
            settings=replace(self.settings, **changes),
        )
        text = page.read_text(encoding="utf-8")
        read = Page(text)
        assert read.problems == []
        return text, read, block.read_text(encoding="utf-8")


@pytest.fixture(scope="module", params=CONFIGS)
def finished(request, tmp_path_factory):
    return Finished(request.param, tmp_path_factory.mktemp(request.param))


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    return Finished("config", tmp_path_factory.mktemp("digits"))


@pytest.fixture(scope="module")
def unsure(tmp_path_factory):
    return Finished("config", tmp_path_factory.mktemp("unsure"), noise=0.1)


def pasted(config, block):
    """A config with the block in it, as the block's first line says."""
    merged, added = copy.deepcopy(config), yaml.safe_load(block)
    merged["models"] |= added.get("models", {})
    for name, changed in added.get("datasets", {}).items():
        merged["datasets"][name] |= changed
    merged["grid"] += added["grid"]
    return merged


def test_the_block_makes_a_study_with_its_runs_and_no_others(finished):
    for quantity in ("N_star", "asymptote"):
        _, _, block = finished.write(quantity=quantity)
        before, after = (Study(config, SCHEMA) for config in (finished.config, pasted(finished.config, block)))
        new = set(after.runs) - set(before.runs)
        assert set(before.runs) < set(after.runs)
        assert len(new) == len(yaml.safe_load(block)["grid"]) > 0
        # what the page names for the budget is within it, as the study itself counts
        for run in after.collecting().runs:
            if run["run"] in new:
                assert run["flops"] <= finished.settings.flops * (1 + 1e-9)


def test_the_page_names_the_best_network_and_the_next_run(finished):
    text, page, block = finished.write(speed=1e12)
    names = [row["models"][0] for row in yaml.safe_load(block)["grid"]]
    assert all(name in page.text for name in names)
    for heading in ("The best split of the budget", "Real networks for the budget", "The next run worth doing"):
        assert heading in page.text
    assert len(page.images) == 1
    assert page.images[0]["src"].startswith("data:image/png;base64,")
    assert page.images[0]["alt"]
    assert "not determine how" not in page.text
    assert block.strip() in text.replace("&#39;", "'")
    # nothing but itself, light and dark, on paper
    assert all(address.startswith(("#", "data:")) for address in page.addresses)
    for rule in ("prefers-color-scheme: dark", "@media print"):
        assert rule in text
    assert "<script" not in text


def test_the_same_study_gives_the_same_bytes(digits):
    (item, _, block), (two, _, same) = digits.write("one"), digits.write("two")
    assert (item, block) == (two, same)


def test_plan_omits_undetermined_n_star_only(unsure):
    _, page, block = unsure.write(speed=1e12)
    assert "does not determine how" in page.text
    assert "best spent on a model of" not in page.text
    assert page.images == []
    for heading in ("What the study does not determine", "What can be said without it", "What the budget buys"):
        assert heading in page.text
    for heading in ("Real networks for the budget", "The best split", "Smaller and larger"):
        assert heading not in page.text
    assert page.text.count("not determined") >= 4
    best = unsure.runs[unsure.runs["real_fraction"] == 0].sort_values("adv_loss").iloc[0]
    assert f"{best['adv_loss']:.3f}"[:4] in page.text
    added = yaml.safe_load(block)
    if added:
        Study(pasted(unsure.config, block), SCHEMA)
        assert len(added["grid"]) == 1
        assert "the next run" in block


def test_an_imagined_fid_has_no_dataset_to_put_into_the_grid(digits):
    _, page, block = digits.write(dataset=None, fid=0.5)
    assert "an imagined FID of 0.50" in page.text
    grid = yaml.safe_load(block)["grid"]
    assert len(grid) == 1
    Study(pasted(digits.config, block), SCHEMA)


def test_an_accuracy_out_of_reach_and_hours_without_a_speed(digits):
    _, page, _ = digits.write(flops=None, accuracy=0.99)
    assert "No budget reaches the accuracy: the limit is" in page.text
    assert "The next run worth doing" in page.text
    _, page, _ = digits.write(flops=None, gpu_hours=3.0)
    assert "no run was timed" in page.text
    _, page, _ = digits.write(flops=None, gpu_hours=3.0, speed=1e12)
    assert "best spent on a model of" in page.text or "for so little" in page.text


def test_the_speed_comes_from_the_studys_own_runs(digits):
    run = digits.runs.sort_values("flops").iloc[-1]
    path = digits.folder / "benchmarks" / "train" / f"{run['run']}.tsv"
    path.parent.mkdir(parents=True)
    path.write_text("s\th:m:s\tmax_rss\n20.0\t0:00:20\t100\n")
    _, page, _ = digits.write()
    path.unlink()
    value = f"{run['flops'] / 20:.2e}".replace("e+", "e")
    assert f"{value} training FLOPs a second: median of the 1 larger run" in page.text


def test_a_run_that_is_done_is_not_advised_again(digits):
    _, _, block = digits.write()
    names = [f"{row['models'][0]}/{row['datasets'][0]}/{row['sizes'][0]}" for row in yaml.safe_load(block)["grid"]]
    _, _, again = digits.write(runs=(*digits.settings.runs, *(f"{name}/1" for name in names)))
    for row in (yaml.safe_load(again) or {"grid": []})["grid"]:
        assert f"{row['models'][0]}/{row['datasets'][0]}/{row['sizes'][0]}" not in names


@pytest.mark.parametrize("kept", ["mixtures", "two runs", "one size"])
def test_a_study_with_too_little_to_fit_has_a_page_all_the_same(kept, tmp_path):
    chosen = {
        "mixtures": lambda runs: runs["fid"].isna(),
        "two runs": lambda runs: runs.index < 2,
        "one size": lambda runs: (runs["size"] == 2048) & runs["fid"].notna(),
    }
    _, page, block = Finished("config", tmp_path, keep=chosen[kept]).write()
    assert "does not determine how" in page.text
    assert "None can be named for the exponent of N*" in page.text
    assert yaml.safe_load(block) is None


def test_a_name_that_yaml_reads_as_something_else_is_quoted():
    for name in ("wrn-28-4", "on", "1e5", "12", "edm+dg"):
        assert yaml.safe_load(f"[{config_block._name(name)}]") == [name]

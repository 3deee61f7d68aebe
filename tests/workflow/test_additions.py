"""A law, figure, attack, sampler and source of one's own: each is its module and one line of a registry."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from robustlaws.attacks import record
from robustlaws.storage import tables
from tests.support.checkouts import ROOT, fresh_checkout, jobs_in, listed, without_humans
from tests.workflow.staleness.studies import write_empty

ADDED = Path(__file__).with_name("additions")
# entry of the ledger -> module, registry, and the line that is added to it
ADDITIONS = {
    "data.npy": ("npy", "data", "SOURCES", 'Source("robustlaws.data.npy:npy", ("train_files", "test_files"))'),
    "sampler.gratings": ("gratings", "generators", "SAMPLERS", '"robustlaws.generators.gratings:Sampler"'),
    "attack.random_noise": (
        "random_noise", "attacks", "ATTACKS", 'Attack("robustlaws.attacks.random_noise:random_noise")',
    ),
    "law.saturating": ("saturating", "laws", "LAWS", 'Law("robustlaws.laws.saturating:fit")'),
    "figure.loss_by_size": (
        "loss_by_size", "figures", "FIGURES",
        'Figure("robustlaws.figures.loss_by_size:draw", "Laws", ("runs", "laws"), "Loss by size. A point each run.")',
    ),
}  # fmt: skip


class Library:
    """A checkout with a library of its own."""

    def __init__(self, folder):
        self.checkout = fresh_checkout(folder)
        shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", folder)
        self.folder, self.variables = folder, {"PYTHONPATH": str(folder / "src")}

    def snakemake(self, *arguments):
        done = self.checkout.snakemake(*arguments, **self.variables)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def planned(self):
        return jobs_in(self.snakemake("--dry-run", "--quiet", "host"))

    def touch(self):
        """Make Snakemake take the study for finished: empty files."""
        for _, outputs in listed(self.snakemake("--dry-run", "--quiet", "host")):
            for output in outputs:
                write_empty(self.folder / "results" / "tiny", output)
        self.snakemake("--touch", "--forceall")

    def revisions(self, *arguments):
        """Return the exit status and what `python -m robustlaws.revisions` prints."""
        command = [sys.executable, "-m", "robustlaws.revisions", *arguments]
        done = subprocess.run(
            command, env=os.environ | self.variables, cwd=self.folder, capture_output=True, text=True, check=False
        )
        return done.returncode, done.stdout + done.stderr

    def differing(self):
        """Return the entries whose code is not what the ledger knows."""
        return set(re.findall(r"^([\w.]+): the code", self.revisions()[1], re.MULTILINE))

    def add(self, entry):
        """Add a module, and its line at the end of its registry."""
        module, package, table, line = ADDITIONS[entry]
        home = self.folder / "src" / "robustlaws" / package
        shutil.copy(ADDED / f"{module}.py", home)
        text = (home / "__init__.py").read_text()
        before, opening, after = text.partition(f"\n{table} = {{\n")
        lines, closing, rest = after.partition("\n}\n")
        added = f'\n    "{entry.partition(".")[2]}": {line},'
        (home / "__init__.py").write_text(before + opening + lines + added + closing + rest)


def use(config):
    """Let the tiny study be one of the additions alone, with four runs."""
    without_humans(config)
    config["source"] = {"name": "npy"} | {
        f"{split}_files": [f"files/{split}_{what}.npy" for what in ("images", "labels")] for split in ("train", "test")
    }
    config["generators"] = {"waves": {"kind": "gratings", "options": {"noise": 0.3}}}
    config["datasets"] = {f"waves-{n}": {"generator": "waves", "steps": n, "images": 128} for n in (2, 3)}
    config["mixtures"] = {}
    config["grid"] = [{"models": ["wrn-10-1"], "datasets": ["waves-2", "waves-3"], "sizes": [64, 128]}]
    config["attacks"].pop("autoattack")
    config["attacks"]["random_noise"] = {"batch": 64, "options": {"draws": 3}}
    config["laws"]["fit"] = ["additive", "saturating"]
    config["figures"] = ["loss_by_size", "accuracy_from_loss"]


def write_images(folder):
    """Write the digits of scikit-learn as .npy files."""
    bunch = load_digits()
    images, labels = (bunch.images[..., None] * (255 / 16)).round().astype(np.uint8), bunch.target
    folder.mkdir()
    for split, part in (("train", slice(100, None)), ("test", slice(100))):
        np.save(folder / f"{split}_images.npy", images[part])
        np.save(folder / f"{split}_labels.npy", labels[part])


@pytest.fixture(scope="module")
def added(tmp_path_factory):
    """The library with the additions, in which the study of them is finished, and what was planned before that."""
    library = Library(tmp_path_factory.mktemp("added") / "checkout")
    library.touch()
    finished, differing = library.planned(), library.differing()
    for entry in ADDITIONS:
        library.add(entry)
    new = library.differing() - differing
    bumped = library.revisions("bump", *ADDITIONS)
    before = {"finished": finished, "new": new, "bumped": bumped, "later": library.differing() - differing}
    before["unused"] = library.planned()
    write_images(library.folder / "files")
    library.checkout.configure(lambda config: (use(config), config.update(study="additions")))
    library.snakemake()
    return library, before


@pytest.mark.slow
def test_additions_need_one_bump_each_and_no_accept(added):
    _, before = added
    assert before["new"] == set(ADDITIONS)
    assert before["bumped"] == (0, "".join(f"{entry}-r1\n" for entry in ADDITIONS))
    assert before["later"] == set()


@pytest.mark.slow
def test_additions_leave_other_studies_finished(added):
    _, before = added
    assert before["finished"] == {}
    assert before["unused"] == {}


@pytest.mark.slow
def test_study_of_additions_is_made_up_to_its_report(added):
    library, _ = added
    results = library.folder / "results" / "additions"
    page = (results / "report.html").read_text()
    assert "Loss by size" in page
    assert "A constant and a power of the compute" in page
    law = json.loads((results / "laws" / "saturating.json").read_text())
    runs = tables.read(results / "tables" / "runs.parquet", tables.RUNS)
    assert law["n_runs"] == len(runs) == 4
    predictions = tables.read(results / "laws" / "saturating_predictions.parquet", tables.PREDICTIONS)
    assert law["parameters"]["E"]["value"] > 0
    assert (predictions.set_index("run")["loss"] == runs.set_index("run")["adv_loss"]).all()
    assert (predictions["predicted"] > law["parameters"]["E"]["value"]).all()
    attacks = tables.read(results / "tables" / "attacks.parquet", tables.ATTACKS)
    accuracy = attacks.pivot_table(index="victim", columns="attack", values="accuracy")
    assert len(accuracy) == 4
    assert (accuracy["random_noise"] <= accuracy["clean"]).all()
    columns, about = record.read(results / "runs" / accuracy.index[0] / "random_noise.h5")
    moved = np.abs(columns["adversarial"] - np.load(library.folder / "files/test_images.npy") / 255)
    assert 0.04 < moved.max() < 0.0501
    assert list(about["attacks"]) == ["random_noise"]
    drawn = tables.read(results / "figures" / "loss_by_size.parquet", tables.DRAWN)
    assert set(drawn["label"]) == set(runs["run"])


@pytest.mark.slow
def test_finished_study_of_additions_has_nothing_to_do(added):
    library, _ = added
    assert library.planned() == {}

"""A run goes out as the zoo takes it and comes back as a checkpoint, by the rules."""

import json
import shutil
import subprocess

import torch
from safetensors.torch import load_file

from tests.support.checkouts import Checkout

RUN, OTHER = "wrn-10-1/edm-4/256/1", "wrn-10-1/edm-2/128/1"
EXPORT = {
    "runs": [RUN, OTHER],
    "name": "Tiny",
    "authors": "A, B",
    "link": "https://arxiv.org/abs/1",
    "venue": "",
    "dataset": "digits",
    "additional_data": False,
}


def test_a_run_goes_out_and_comes_back(checkout, tmp_path):
    subprocess.run(["cp", "-a", str(checkout.folder), str(tmp_path / "copy")], check=True)
    copy = Checkout(tmp_path / "copy")

    def export(config):
        config["export"] = EXPORT
        config["attacks"]["autoattack"]["weights"] = "best"

    copy.configure(export)
    done = copy.snakemake("export")
    output = done.stdout + done.stderr
    assert done.returncode == 0, output
    assert "rule export_run:" in output
    assert "rule train_run:" not in output
    runs = copy.folder / "results/tiny/runs"
    # the weights that AutoAttack met, chosen on held-out images
    ours = load_file(runs / RUN / "best.safetensors")
    theirs = torch.load(runs / RUN / "robustbench.pt", weights_only=True)["state_dict"]
    assert set(ours) == set(theirs)
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)
    info = {name: json.loads((runs / name / "model_info.json").read_text()) for name in (RUN, OTHER)}
    assert float(info[RUN]["autoattack_acc"]) <= float(info[RUN]["clean_acc"])
    assert (info[RUN]["footnote"], info[RUN]["eps"]) == ("", "0.05")
    assert (info[OTHER]["autoattack_acc"], info[OTHER]["footnote"]) == ("", "Not attacked by AutoAttack.")

    shutil.copy(runs / RUN / "robustbench.pt", copy.folder / "zoo.pt")
    copy.configure(lambda config: config.update(checkpoints={"zoo": {"file": "zoo.pt", "depth": 10, "width": 1}}))
    done = copy.snakemake("results/tiny/checkpoints/zoo/weights.safetensors")
    assert done.returncode == 0, done.stdout + done.stderr
    back = load_file(copy.folder / "results/tiny/checkpoints/zoo/weights.safetensors")
    assert all(torch.equal(ours[key], back[key]) for key in ours)

    copy.configure(lambda config: config.update(checkpoints={"zoo": {"file": "zoo.pt", "depth": 16, "width": 1}}))
    done = copy.snakemake("results/tiny/checkpoints/zoo/weights.safetensors")
    assert done.returncode == 1
    assert "zoo says WRN-16-1 (10 classes, 1 channels), the file holds WRN-10-1" in done.stdout + done.stderr

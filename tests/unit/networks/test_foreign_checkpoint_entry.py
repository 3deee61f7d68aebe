"""What the leaderboard asks for: the entry beside exported weights says what its numbers are."""

import json
from dataclasses import replace

import numpy as np
import pytest

from robustlaws.archive import robustbench
from robustlaws.networks import checkpoint, wrn
from tests.support.exported_networks import CIFAR, DIGITS, RUN, exported, settings_of

ZOO_KEYS = (
    "link, name, authors, additional_data, number_forward_passes, dataset, venue, architecture, eps, clean_acc,"
    " reported, autoattack_acc, footnote, unreliable"
)


def columns(right, robust):
    return {"label": np.zeros(len(right)), "clean_prediction": 1 - np.array(right), "robust": np.array(robust) == 1}


def test_the_entry_of_the_leaderboard():
    clean = columns([1, 1, 0], [1, 1, 0])
    info = robustbench.model_info(clean, columns([1, 1, 0], [1, 0, 0]), 3, settings_of(CIFAR, autoattack="standard"))
    assert ", ".join(info) == ZOO_KEYS
    assert (info["eps"], info["architecture"], info["number_forward_passes"]) == ("8/255", "WideResNet-10-2", 1)
    assert (info["clean_acc"], info["autoattack_acc"], info["reported"]) == ("66.67", "33.33", "33.33")
    assert (info["additional_data"], info["unreliable"], info["footnote"], info["venue"]) == (False, False, "", "")


def test_the_entry_says_what_its_numbers_are_not():
    settings = settings_of(CIFAR, footnote="It uses 5M synthetic images.")
    info = robustbench.model_info(columns([1, 1], [1, 1]), None, 2, settings)
    assert (info["autoattack_acc"], info["reported"]) == ("", "")
    assert info["footnote"] == "It uses 5M synthetic images. Not attacked by AutoAttack."
    cut = robustbench.model_info(columns([1, 1], [1, 1]), None, 2, replace(settings, test_kept=2))
    assert "The test images are the first 2 of the dataset's." in cut["footnote"]
    info = robustbench.model_info(
        columns([1, 0, 1], [1] * 3), columns([1], [1]), 4, replace(settings, autoattack="plus")
    )
    assert info["autoattack_acc"] == "100.00"
    output = [f"{what} on {n} of the 4 test images." for what, n in (("Clean accuracy", 3), ("AutoAttack", 1))]
    assert info["footnote"].endswith(" ".join([*output, "AutoAttack in its version plus."]))


def test_a_record_of_another_run_is_refused(tmp_path):
    exported(DIGITS, tmp_path)
    assert json.loads((tmp_path / "model_info.json").read_text())["clean_acc"] == "75.00"
    with pytest.raises(ValueError, match=f"pgd.h5: a record of {RUN}, not of another"):
        robustbench.export(
            weights_path=tmp_path / "ours.safetensors",
            record_paths=[tmp_path / "pgd.h5"],
            test_path=tmp_path / "test.h5",
            checkpoint_path=tmp_path / "b.pt",
            info_path=tmp_path / "b.json",
            settings=settings_of(DIGITS, run="another"),
        )
    assert not (tmp_path / "b.pt").exists()


def test_a_record_of_other_weights_is_refused(tmp_path):
    exported(DIGITS, tmp_path)
    checkpoint.save(tmp_path / "best.safetensors", wrn.build(DIGITS), settings_of(DIGITS))
    with pytest.raises(ValueError, match="pgd.h5: a record of other weights than .*best.safetensors; attack these"):
        robustbench.export(
            weights_path=tmp_path / "best.safetensors",
            record_paths=[tmp_path / "pgd.h5"],
            test_path=tmp_path / "test.h5",
            checkpoint_path=tmp_path / "b.pt",
            info_path=tmp_path / "b.json",
            settings=settings_of(DIGITS),
        )
    assert not (tmp_path / "b.pt").exists()


@pytest.mark.parametrize(
    ("epsilon", "text"),
    [
        (8 / 255, "8/255"),
        (0.03137254901960784, "8/255"),
        (0.15, "0.15"),
        (0.03137, "0.03137"),
        (1 / 255, "1/255"),
        (1e-4, "0.0001"),
    ],
)
def test_a_radius_is_spelt_in_grey_levels_where_it_is_some(epsilon, text):
    assert robustbench.radius(epsilon) == text

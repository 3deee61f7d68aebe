"""Which runs and which of their numbers the laws are fitted to."""

import numpy as np
import pytest

from robustlaws.laws import additive, published
from robustlaws.storage import tables
from tests.support.law_studies import NO_CURVES, curves_of, settings, study

pytestmark = pytest.mark.filterwarnings("error")


def test_runs_that_a_law_may_not_use_are_counted():
    runs = study(additive, published.ADDITIVE, fids=(1.65, 6.79, 14.26, 20.0))
    # losses that would spoil an exact fit if they were used
    runs.loc[:1, ["real_fraction", "adv_loss"]] = 0.3, 5.0
    runs.loc[2, ["fid", "adv_loss"]] = None, 5.0
    small = (runs["params"] < 1e8) & (runs["size"] > 1e7) & (runs["fid"] < 10)
    runs.loc[small, "adv_loss"] = 5.0
    rule = {"params_below": 1e8, "images_above": 1e7, "fid_below": 10.0}
    fitted = additive.fit(runs, NO_CURVES, settings(small_on_large=rule, refits=5))
    # of two datasets under FID 10: four small models at three large sizes each, of which one is the run without an FID
    assert fitted.summary["n_runs_left_out"] == {
        "mixes real images in": 2,
        "its dataset has no FID": 1,
        "small model on large data": 23,
    }
    assert fitted.summary["n_runs"] == 160 - 26
    assert fitted.summary["parameters"]["alpha"]["value"] == pytest.approx(published.ADDITIVE["alpha"], rel=1e-6)


def test_fit_uses_only_runs_with_a_loss():
    runs = study(additive, published.ADDITIVE, fids=(1.65, 6.79, 14.26))
    gaps = ["depth", "width", "forward_flops", "clean_loss", "clean_acc", "adv_acc", "test_images"]
    gapped = tables.table(runs.drop(columns=gaps), tables.RUNS)
    gapped.loc[:4, "adv_loss"] = None
    gapped.loc[5, "adv_loss"] = 0.0
    gapped.loc[6, "fid"] = None
    fitted = additive.fit(gapped, NO_CURVES, settings(refits=5))
    assert fitted.summary["n_runs_left_out"] == {
        "its dataset has no FID": 1,
        "no loss measured": 5,
        "loss not above 0": 1,
    }
    assert fitted.summary["parameters"]["alpha"]["value"] == pytest.approx(published.ADDITIVE["alpha"], rel=1e-6)
    # the best row of a curve is a loss too
    curves = curves_of(runs, [(run, 1.0, loss) for run, loss in zip(runs["run"], runs["adv_loss"], strict=True)])
    best = additive.fit(gapped, curves, settings(observations="best", refits=0))
    assert best.summary["n_runs_left_out"] == {"its dataset has no FID": 1}


def test_best_observations_follow_the_published_rule():
    """Of each curve from half of the training on, the lowest loss, with the D and FLOPs of that row."""
    runs = study(additive, published.ADDITIVE, fids=(1.65,))
    rows = []
    for run, images, count in zip(runs["run"], runs["images"], runs["params"], strict=True):
        at = additive.loss(published.ADDITIVE, count, images * 0.8, 1.65)
        # a lower loss too early in training does not count
        rows += [(run, 0.4, 0.01), (run, 0.5, at + 0.1), (run, 0.8, float(at)), (run, 1.0, at + 0.05)]
    curves = curves_of(runs, [row for row in rows if row[0] != runs["run"][0]])
    fitted = additive.fit(runs, curves, settings(observations="best", refits=20))
    assert fitted.summary["n_runs_left_out"] == {"no curve row late enough in training": 1}
    assert fitted.summary["parameters"]["beta"]["value"] == pytest.approx(published.ADDITIVE["beta"], rel=1e-6)
    table = fitted.predictions.set_index("run")
    original = runs.set_index("run").loc[table.index]
    assert np.allclose(table["images"], 0.8 * original["images"])
    assert np.allclose(table["flops"], 0.8 * original["flops"])

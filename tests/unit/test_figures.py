"""Figures: valid, deterministic files for ordinary and for poor studies, and the numbers that must (not) show."""

import json
from xml.etree import ElementTree

import h5py
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from robustlaws import named, records
from robustlaws.attacks import record
from robustlaws.data import shards
from robustlaws.figures import FIGURE_INPUTS, FIGURES, sources, style, words

K = 8600.0  # training FLOPs per parameter and image
LAW_TITLES = {
    "envelope": "Approach 1: envelope of training curves",
    "additive": "Approach 2: additive with data quality",
    "bottleneck": "Approach 3: data quality as a bottleneck",
}
CLASSES = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]


def loss_of(params, images, fid):
    """Return a loss by Approach 2's form with constants of its own."""
    return 3 * params**-0.2 + 6 * (1 + fid) ** 0.1 * images**-0.25 + 0.4 * (1 + fid) ** 0.15


def cell(value, spread=0.1, determined=True, why=""):
    """Return one cell of a law file; an undetermined one keeps its number, which nobody may print."""
    low, high = (None, None) if value is None else sorted((value * (1 - spread), value * (1 + spread)))
    return {"value": value, "low": low, "high": high, "determined": determined, "why": why}


def run_rows(models, sizes, datasets, seeds=(0,), mixture=True):
    """Return rows of records.RUNS: the whole grid, and one run that mixes real images in."""
    jobs = [(m, n, d, f, s, seed, 0.0) for m, n in models.items() for d, f in datasets.items() for s in sizes
            for seed in seeds]  # fmt: skip
    if mixture:
        model, params = next(iter(models.items()))
        jobs.append((model, params, "half-real", None, max(sizes), 0, 0.5))
    rows = []
    for model, params, dataset, fid, size, seed, real in jobs:
        loss = loss_of(params, size, 5.0 if fid is None else fid) * (1 + 0.001 * seed)
        accuracy = float(np.clip(1.1 - 0.5 * loss, 0.05, 0.95))
        rows.append({
            "run": f"{model}/{dataset}/{size}/{seed}", "model": model, "dataset": dataset, "size": size, "seed": seed,
            "generator": None if fid is None else "edm", "steps": None if fid is None else 3, "fid": fid,
            "real_fraction": real, "depth": 10, "width": 1, "params": params, "forward_flops": params * 300,
            "images": size, "flops": K * params * size,
            "flops_spent": 0.8 * K * params * size, "clean_loss": loss / 2, "clean_acc": min(accuracy + 0.1, 1.0),
            "adv_loss": loss, "adv_acc": accuracy, "test_images": 300, "autoattack_acc": None,
            "autoattack_images": None,
        })  # fmt: skip
    best = max(rows, key=lambda row: row["adv_acc"])
    best |= {"autoattack_acc": best["adv_acc"] - 0.02, "autoattack_images": 300}
    return rows


def curve_rows(runs):
    """Return rows of records.CURVES: six observations a run, noisy early."""
    rows = []
    for run in runs:
        for fraction in (0.05, 0.2, 0.4, 0.6, 0.8, 1.0):
            keys = {
                k: run[k] for k in ("run", "model", "dataset", "size", "seed", "clean_loss", "clean_acc", "adv_acc")
            }
            images = int(run["images"] * fraction)
            loss = run["adv_loss"] * (1 + 0.6 * (1 - fraction) ** 2)
            rows.append({**keys, "train_fraction": fraction, "images": images, "flops": K * run["params"] * images,
                         "adv_loss": loss, "test_images": 128})  # fmt: skip
    return rows


def allocation_rows(law, runs, datasets, reach=1e3):
    """Return rows of records.ALLOCATIONS over the study's budgets and `reach` times beyond."""
    tilt = {"envelope": 0.52, "additive": 0.5, "bottleneck": 0.46}[law]
    flops = [run["flops"] for run in runs]
    rows = []
    for dataset, fid in datasets.items():
        for budget in np.geomspace(min(flops), max(flops) * reach, 12):
            c = budget / K
            params = 3.0 * c**tilt / 10
            loss = loss_of(params, c / params, fid)
            wide = 1.2 + 0.05 * np.log10(budget / min(flops))
            rows.append({
                "law": law, "dataset": dataset, "fid": fid, "flops": budget, "params": params,
                "params_low": params / wide, "params_high": params * wide, "images": c / params,
                "images_low": c / params / wide, "images_high": c / params * wide, "loss": loss,
                "loss_low": loss * 0.97, "loss_high": loss * 1.03, "measured": bool(budget <= max(flops)),
            })  # fmt: skip
    return rows


def attack_rows(runs):
    """Return rows of records.ATTACKS: clean and PGD for every run, AutoAttack where it was run."""
    rows = []
    for run in runs:
        shares = {"clean": run["clean_acc"], "pgd_cw": run["adv_acc"]}
        if run["autoattack_acc"] is not None:
            shares |= {"autoattack/apgd-ce": run["adv_acc"], "autoattack": run["autoattack_acc"]}
        for attack, accuracy in shares.items():
            numbers = {"accuracy": accuracy, "low": accuracy - 0.02, "high": accuracy + 0.01, "level": 0.95}
            keys = {"victim": run["run"], "kind": "run", "weights": "last", "attack": attack}
            rows.append(keys | {"images": 300, "right": round(300 * accuracy)} | numbers)
    return rows


def law_file(law, datasets, determined=True, why="the interval spans zero"):
    """Return the content of a law file; with `determined` false no exponent and no limit is known."""

    def entry(dataset, fid):
        mark = {"determined": determined, "why": "" if determined else why}
        parameters = {"coefficient": cell(12.3, **mark), "exponent": cell(-0.0512, **mark)} if law == "envelope" else {}
        exponents = {"N_star": cell(0.48765, **mark), "D_star": cell(0.51235, **mark)}
        extra = {"asymptote": cell(0.5 + fid / 50, **mark)} if law == "additive" else {}
        return {"dataset": dataset, "fid": fid, "parameters": parameters, "exponents": exponents, **extra}

    mark = {"determined": determined, "why": "" if determined else why}
    return {
        "law": law, "title": LAW_TITLES[law], "form": "L = A/N^alpha + B'/D^beta + E'", "n_runs": 36,
        "n_runs_left_out": {"mixes real images in": 1},
        "parameters": {} if law == "envelope" else {"A": cell(3.1415, **mark), "alpha": cell(0.2345, **mark)},
        "datasets": [entry(*pair) for pair in datasets.items()],
        "interval": {"level": 0.9, "method": "bootstrap over runs", "refits": 200},
        "fit": {} if law == "envelope" else {
            "objective": 1.2e-6, "gradient_norm": 3e-9, "starts": 243, "starts_agreeing": 195,
            "hessian_condition": 4.1e5, "converged": True,
        },
        "r2": 0.97 if determined else None, "r2_by_dataset": dict.fromkeys(datasets, 0.95), "warnings": [],
        "flops_per_parameter_image": K,
    }  # fmt: skip


def write_attack(path, run, images, labels, epsilon, fooled=0.4, n=60):
    """Write AutoAttack results as the attack stage does; the first `fooled` of the images fool the network."""
    rng = np.random.default_rng(0)
    label = labels[:n].copy()
    clean_prediction = label.copy()
    clean_prediction[:3] = (label[:3] + 1) % 10
    broken_by = np.full(n, -1)
    count = int(fooled * n)
    broken_by[3 : 3 + count] = np.arange(count) % 4
    robust = (broken_by < 0) & (clean_prediction == label)
    clean = images[:n] / np.float32(255)
    noise = epsilon * rng.choice([-1.0, 1.0], size=clean.shape).astype(np.float32)
    with h5py.File(path, "w") as file:
        file.attrs.update({"format": record.FORMAT, "run": run, "attack": "autoattack", "epsilon": epsilon})
        file.attrs["attacks"] = ["apgd-ce", "apgd-t", "fab-t", "square"]
        file["index"], file["label"], file["clean_prediction"] = np.arange(n), label, clean_prediction
        file["adversarial_prediction"] = np.where(robust, label, (label + 3) % 10)
        file["robust"], file["broken_by"] = robust, broken_by
        file["adversarial"] = np.clip(clean + noise, 0, 1).astype(np.float32)


def build(
    folder, *, models=None, sizes=(2000, 6000, 20000, 60000), datasets=None, seeds=(0,), mixture=True, determined=True,
    laws=tuple(LAW_TITLES), with_allocations=True, with_predictions=True, pixels=(8, 8, 1), fooled=0.4,
    change=lambda rows: None,
):  # fmt: skip
    """Write all files of a synthetic study to `folder`; return the figures' inputs by name."""
    models = models or {"wrn-10-1": 80_000, "wrn-10-2": 310_000, "wrn-16-2": 690_000}
    datasets = {"edm-18": 2.1, "edm-5": 8.76, "edm-3": 41.2} if datasets is None else datasets
    folder.mkdir(parents=True, exist_ok=True)
    rows = run_rows(models, sizes, datasets, seeds, mixture)
    change(rows)
    paths = {name: folder / f"{name}.parquet" for name in ("runs", "curves", "attacks")} | {
        "accuracy": folder / "accuracy.json"
    }
    records.write(paths["runs"], rows, records.RUNS)
    records.write(paths["curves"], curve_rows(rows), records.CURVES)
    records.write(paths["attacks"], attack_rows(rows), records.ATTACKS)
    why = {"determined": determined, "why": "" if determined else "all runs have nearly the same loss"}
    line = {"intercept": cell(1.1, 0.01, **why), "slope": cell(-0.5, 0.01, **why), "r2": 0.98, "n_runs": len(rows)}
    paths["accuracy"].write_text(json.dumps(line))

    paths |= {"laws": [], "allocations": [], "predictions": [], "shards": [], "quality": [], "autoattack": []}
    for law in laws:
        paths["laws"].append(folder / f"{law}.json")
        paths["laws"][-1].write_text(json.dumps(law_file(law, datasets, determined)))
        paths["allocations"].append(folder / f"{law}.parquet")
        given = allocation_rows(law, rows, datasets) if with_allocations else []
        records.write(paths["allocations"][-1], given, records.ALLOCATIONS)
        rng = np.random.default_rng(len(law))
        given = [
            {"law": law, "predicted": r["adv_loss"] * rng.normal(1, 0.01), "loss": r["adv_loss"],
             **{k: r[k] for k in ("run", "model", "dataset", "params", "images", "fid", "flops")}}
            for r in rows if with_predictions and law != "envelope" and r["fid"] is not None
        ]  # fmt: skip
        paths["predictions"].append(folder / f"predictions-{law}.parquet")
        records.write(paths["predictions"][-1], given, records.PREDICTIONS)

    rng = np.random.default_rng(1)
    for split, count in (("train", 120), ("test", 80)):
        paths[f"{split}_images"] = folder / f"{split}.h5"
        images, labels = rng.integers(0, 256, (count, *pixels), dtype=np.uint8), np.arange(count) % 10
        shards.write(paths[f"{split}_images"], images, labels, {"class_names": CLASSES})
        if split == "test":
            paths["autoattack"].append(folder / "best.h5")
            write_attack(paths["autoattack"][0], rows[-2 if mixture else -1]["run"], images, labels, 8 / 255, fooled)
    for steps, (dataset, fid) in enumerate(datasets.items(), start=3):
        paths["shards"].append(folder / f"{dataset}.h5")
        images = rng.integers(0, 256, (60, *pixels), dtype=np.uint8)
        attributes = {"dataset": dataset, "generator": "edm", "steps": steps}
        shards.write(paths["shards"][-1], images, np.arange(60) % 10, attributes)
        paths["quality"].append(folder / f"{dataset}.json")
        paths["quality"][-1].write_text(json.dumps({
            "dataset": dataset, "generator": "edm", "steps": steps, "fid": fid, "images": 2048, "real_images": 1497,
            "features": {"name": "wrn-10-2 on the real images", "dimensions": 64, "sha256": "ab" * 32},
            "floor": {"fid": 3.17, "images": 300, "meaning": "FID of the test images against the training images"},
        }))  # fmt: skip
    return paths


def draw(name, folder, inputs, into="out"):
    """Draw one figure; return its PNG (as an array), the text in its SVG, and the bytes of both."""
    png, svg = folder / into / f"{name}.png", folder / into / f"{name}.svg"
    given = {noun: inputs[noun] for noun in FIGURE_INPUTS[name]}
    named.load(name, FIGURES)(png_path=png, svg_path=svg, **given)
    text = " ".join("".join(node.itertext()) for node in ElementTree.fromstring(svg.read_bytes()).findall(".//{*}text"))
    assert sorted(path.name for path in png.parent.glob(f"*{name}*")) == [png.name, svg.name]
    return imread(png), text, (png.read_bytes(), svg.read_bytes())


ONE_CELL = {"models": {"wrn-10-1": 80_000}, "sizes": (2000,), "datasets": {"edm-5": 8.8}, "mixture": False}
LONG = "a name with $ign$ and_underscores, much longer than any panel has room for"
STUDIES = {
    "one model on one dataset": {"models": {"wrn-10-1": 80_000}, "datasets": {"edm-5": 8.8}, "pixels": (12, 12, 3)},
    "one cell, nothing fitted": {
        **ONE_CELL, "determined": False, "with_allocations": False, "with_predictions": False, "fooled": 0,
    },
    "no law": {"laws": ()},
    "undetermined, long names": {"determined": False, "models": {LONG: 80_000}, "datasets": {LONG: 2.0, "edm-5": 8.8}},
}  # fmt: skip


@pytest.fixture(scope="module")
def ordinary(tmp_path_factory):
    return build(tmp_path_factory.mktemp("ordinary"))


@pytest.fixture(scope="module")
def drawn(ordinary, tmp_path_factory):
    """All figures of the ordinary study, each drawn once."""
    folder = tmp_path_factory.mktemp("drawn")
    return {name: draw(name, folder, ordinary) for name in FIGURES}


def _check_picture(name, picture, text):
    assert picture.shape[1] == style.WIDTH * style.DPI, name
    assert np.ptp(picture[..., :3]) == 1, name
    assert text.strip(), name


@pytest.mark.parametrize("study", STUDIES)
def test_figures_of_poor_studies_are_pictures(tmp_path, study):
    inputs = build(tmp_path / "in", **STUDIES[study])
    for name in FIGURES:
        _check_picture(name, *draw(name, tmp_path, inputs)[:2])


@pytest.mark.parametrize("name", FIGURES)
def test_the_same_inputs_give_the_same_bytes(tmp_path, ordinary, drawn, name):
    _check_picture(name, *drawn[name][:2])
    assert draw(name, tmp_path, ordinary)[2] == drawn[name][2]


def test_learning_curves_write_the_law_that_is_determined(tmp_path, drawn):
    text = drawn["learning_curves"][1]
    assert "edm-18 (FID 2.10)" in text
    assert "L* = 12.3 F^-0.0512" in text
    unknown = build(tmp_path / "in", determined=False)
    text = draw("learning_curves", tmp_path, unknown)[1]
    assert "law not determined" in text
    assert "the interval spans zero" in text
    assert "0.0512" not in text


def test_allocation_draws_no_law_whose_exponent_is_unknown(tmp_path, drawn):
    assert "beyond the study's budgets" in drawn["allocation"][1]
    unknown = build(tmp_path / "in", determined=False)
    text = draw("allocation", tmp_path, unknown)[1]
    assert "N* and D* not determined: the interval spans zero" in text
    assert "beyond the study's budgets" not in text


def test_allocation_says_which_datasets_it_leaves_out(tmp_path):
    datasets = {f"edm-{n}": 20.0 - n for n in range(7)}
    text = draw("allocation", tmp_path, build(tmp_path / "in", datasets=datasets, mixture=False))[1]
    assert "4 of 7 datasets are shown, from the best FID to the worst." in text
    assert "edm-6 (FID 14.0)" in text
    assert "edm-0 (FID 20.0)" in text


def test_accuracy_draws_limits_only_where_determined(tmp_path, ordinary, drawn):
    assert "limit at infinite compute" in drawn["accuracy"][1]
    law = next(path for path in ordinary["laws"] if path.stem == "additive")
    content = json.loads(law.read_text())
    for entry in content["datasets"]:
        entry["asymptote"] |= {"determined": False, "why": "no run comes near it"}
    other = tmp_path / "additive.json"
    other.write_text(json.dumps(content))
    text = draw("accuracy", tmp_path, ordinary | {"laws": [other]})[1]
    assert "Limit at infinite compute not determined on edm-18, edm-5 and edm-3: no run comes near it." in text


def test_accuracy_without_a_line_shows_the_runs_alone(tmp_path):
    text = draw("accuracy", tmp_path, build(tmp_path / "in", determined=False))[1]
    assert "the line from loss to accuracy is not determined: all runs have nearly the same loss" in text


def test_predictions_name_the_law_that_predicts_nothing(drawn):
    text = drawn["predictions"][1]
    assert "R² = 0.970" in text
    assert "Without predictions for single runs: Approach 1: envelope of training curves." in text


def test_adversarial_counts_what_each_attack_broke(drawn):
    text = drawn["adversarial"][1]
    assert "60 test images, 57 right when clean; broken by apgd-ce 6, apgd-t 6, fab-t 6, square 6; 33 right" in text
    assert "three → six (apgd-ce)" in text


def test_adversarial_names_the_file_that_is_no_record(tmp_path, ordinary):
    with pytest.raises(ValueError, match=r"runs\.parquet"):
        draw("adversarial", tmp_path, ordinary | {"autoattack": [ordinary["runs"]]})
    few = tmp_path / "few.h5"
    shards.write(few, np.zeros((8, 8, 8, 1), np.uint8), np.zeros(8, int), {})
    with pytest.raises(ValueError, match=r"best\.h5 index: image \d+ wanted, 8 in"):
        draw("adversarial", tmp_path, ordinary | {"test_images": few})
    assert not (tmp_path / "out").exists()


def test_samples_are_titled_with_steps_and_fid(drawn):
    text = drawn["samples"][1]
    for words_there in ("real training images", "edm-18, 3 steps, FID 2.10", "edm-3, 5 steps, FID 41.2", "nine"):
        assert words_there in text


def test_datasets_are_ordered_by_fid_and_mixtures_come_last():
    order = sources.fid_order([("mixture", None), ("worse", 9.0), ("better", 2.0), ("worse", float("nan"))])
    assert list(order.items()) == [("better", 2.0), ("worse", 9.0), ("mixture", None)]


def test_datasets_and_models_look_different():
    datasets = style.dataset_looks([f"dataset {i}" for i in range(8)])
    models = style.model_looks([f"model {i}" for i in range(8)])
    for looks in (datasets, models):
        assert len({look.colour for look in looks.values()}) == 8
    assert not {look.colour for look in datasets.values()} & set(style.LAW_COLOURS)


@pytest.mark.parametrize(
    ("low", "high"), [(1e12, 1e18), (1.4e12, 3.6e14), (1.2, 2.3), (0.57, 1.04), (1.34, 1.41), (7e4, 9e4), (1e3, 1e12)]
)
def test_a_logarithmic_axis_has_a_few_numbers(low, high):
    figure = Figure()
    axes = figure.subplots()
    style.log_axis(axes, "x", (low, high), words.scientific, most=5)
    ticks = axes.get_xticks()
    labels = [label.get_text() for label in axes.get_xticklabels()]
    assert 2 <= len(ticks) <= 11
    assert ((ticks >= low) & (ticks <= high)).all()
    assert len(set(labels)) == len(ticks)


@pytest.mark.parametrize(
    ("function", "value", "text"),
    [
        (words.number, 0.48285756, "0.483"), (words.number, 12.345, "12.3"), (words.number, 1234.5, "1,230"),
        (words.number, -0.0351, "-0.0351"), (words.number, 3.2e12, "3.2e12"), (words.number, 4e-7, "4e-7"),
        (words.number, 0, "0"), (words.scientific, 1e20, "1e20"), (words.count, 2048, "2,048"),
        (words.count, 76_400, "76.4k"), (words.count, 2000, "2k"), (words.count, 100_000_000, "100M"),
        (words.count, 316_356_058, "316M"), (words.percent, 0.7371, "73.7%"), (words.fid, 1.654, "1.65"),
        (words.fid, 35.54, "35.5"), (words.duration, 3.25, "3.2 s"), (words.duration, 200, "3 min 20 s"),
        (words.duration, 7500, "2 h 05 min"), (words.listed, ["a", "b", "c"], "a, b and c"), (words.listed, ["a"], "a"),
        (words.interval, {"value": 0.5, "low": 0.4, "high": 0.61, "determined": True}, "0.500 [0.400, 0.610]"),
        (words.cell, {"value": 0.5, "low": 0.4, "high": 0.6, "determined": False, "why": "w"}, "not determined: w"),
        (words.cell, {"value": None, "determined": True, "why": ""}, "not determined"),
        (words.cell, None, "not determined"),
    ],
)  # fmt: skip
def test_numbers_are_written_for_readers(function, value, text):
    assert function(value) == text


def test_accuracy_draws_no_curve_at_an_unknown_optimum(tmp_path, ordinary, drawn):
    assert "Curves not drawn" not in drawn["accuracy"][1]
    law = next(path for path in ordinary["laws"] if path.stem == "additive")
    content = json.loads(law.read_text())
    for entry in content["datasets"]:
        entry["exponents"]["N_star"] |= {"determined": False, "why": "one size only"}
    other = tmp_path / "additive.json"
    other.write_text(json.dumps(content))
    text = draw("accuracy", tmp_path, ordinary | {"laws": [other]})[1]
    assert "Curves not drawn: N* not determined on edm-18, edm-5 and edm-3: one size only." in text
    assert "FID 0" not in text

"""A synthetic study's files, as the rules write them, for the figures and the report; and a figure drawn from them."""

import json
from xml.etree import ElementTree

import h5py
import numpy as np
from matplotlib.image import imread

from robustlaws import registry
from robustlaws.attacks import record
from robustlaws.data import shards
from robustlaws.figures import FIGURE_INPUTS, FIGURES
from robustlaws.laws import bootstrap_table
from robustlaws.storage import tables
from tests.support import human_study

K = 8600.0  # training FLOPs per parameter and image
HUMAN = 0.9046
# loss_of in the parameters of Approach 2, and values of Approach 3 of no meaning
PARAMETERS = {
    "additive": {"log A": np.log(3), "log B": np.log(6), "log E": np.log(0.4), "alpha": 0.2, "beta": 0.25,
                 "eps": 0.15, "zeta": 0.1},
    "bottleneck": {"log A": np.log(6), "log B": np.log(7000), "log E": np.log(0.5), "log Q": np.log(0.0066),
                   "alpha": 0.24, "beta": 0.22, "kappa": 0.6, "eps": 0.036},
}  # fmt: skip
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
    """Return rows of tables.RUNS: the whole grid, and one run that mixes real images in."""
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
    """Return rows of tables.CURVES: six observations a run, noisy early."""
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
    """Return rows of tables.ALLOCATIONS over the study's budgets and `reach` times beyond, with FID 0."""
    tilt = {"envelope": 0.52, "additive": 0.5, "bottleneck": 0.46}[law]
    flops = [run["flops"] for run in runs]
    rows = []
    for dataset, fid in [*datasets.items(), *([(None, 0.0)] if law != "envelope" else [])]:
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
    """Return rows of tables.ATTACKS: clean and PGD for every run, AutoAttack where it was run."""
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


def refit_rows(law, datasets, count=20):
    """Return rows of tables.REFITS: the fit, and refits that scatter around it."""
    rng = np.random.default_rng(len(law))

    def around(value, spread=0.01):
        return np.concatenate([[value], value + spread * rng.normal(size=count)])

    if law != "envelope":
        return bootstrap_table.rows(law, {name: around(value) for name, value in PARAMETERS[law].items()}).to_dict(
            "records"
        )
    lines = {"loss": (1.0899, -0.0512), "params": (0.5, 0.48765), "images": (-4.4, 0.51235)}
    rows = []
    for dataset in datasets:
        parameters = {f"{line} {term}": around(value, 0.002) for line, values in lines.items()
                 for term, value in zip(("intercept", "slope"), values, strict=True)}  # fmt: skip
        rows += bootstrap_table.rows(law, parameters, dataset).to_dict("records")
    return rows


def limit_rows(laws, datasets, determined, human=HUMAN):
    """Return rows of tables.APPROACHES: of each law the exponents, the limit and the FLOPs to human level."""
    rows = []
    for law in laws:
        for dataset, fid in [*datasets.items(), *([(None, 0.0)] if law != "envelope" else [])]:
            head = {"law": law, "title": LAW_TITLES[law], "dataset": dataset, "fid": fid, "budget": None}
            why = "" if determined else "the interval spans zero"
            cells = {"N_star": 0.49, "D_star": 0.51, "accuracy_limit": 0.95 - 0.03 * np.log1p(fid)}
            rows += [head | {"quantity": name} | cell(value, 0.02, determined, why) for name, value in cells.items()]
            never = {"value": None, "low": None, "high": None, "determined": False, "why": "never: the limit is 85.0%"}
            endless = cell(3.2e25, 0.5, determined, why) | {"high": None}
            rows.append(head | {"quantity": "flops_to_human"} | (endless if dataset is None else never))
    if human is not None:
        head = {"law": "human", "title": "human level", "quantity": "human_accuracy", "dataset": None, "fid": None}
        rows.append(head | {"budget": None, "value": human, "low": None, "high": None, "determined": True, "why": ""})
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


def write_attack(
    path, run, images, labels, epsilon, fooled=0.4, n=60, attacks=("apgd-ce", "apgd-t", "fab-t", "square")
):
    """Write results as the attack stage does; after three that are wrong when clean, the first `fooled` of the images
    fool the network.
    """
    rng = np.random.default_rng(0)
    label = labels[:n].copy()
    clean_prediction = label.copy()
    clean_prediction[:3] = (label[:3] + 1) % 10
    broken_by = np.full(n, -1)
    count = int(fooled * n)
    broken_by[3 : 3 + count] = np.arange(count) % len(attacks)
    robust = (broken_by < 0) & (clean_prediction == label)
    clean = images[:n] / np.float32(255)
    noise = epsilon * rng.choice([-1.0, 1.0], size=clean.shape).astype(np.float32)
    with h5py.File(path, "w") as file:
        file.attrs.update({"format": record.FORMAT, "run": run, "attack": "autoattack", "epsilon": epsilon})
        file.attrs["attacks"] = list(attacks)
        file["index"], file["label"], file["clean_prediction"] = np.arange(n), label, clean_prediction
        file["adversarial_prediction"] = np.where(robust, label, (label + 3) % 10)
        file["robust"], file["broken_by"] = robust, broken_by
        file["adversarial"] = np.clip(clean + noise, 0, 1).astype(np.float32)


def build(
    folder, *, models=None, sizes=(2000, 6000, 20000, 60000), datasets=None, seeds=(0,), mixture=True, determined=True,
    laws=tuple(LAW_TITLES), with_allocations=True, with_predictions=True, pixels=(8, 8, 1), fooled=0.4,
    change=lambda rows: None, human=HUMAN,
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
    tables.write(paths["runs"], rows, tables.RUNS)
    tables.write(paths["curves"], curve_rows(rows), tables.CURVES)
    tables.write(paths["attacks"], attack_rows(rows), tables.ATTACKS)
    why = {"determined": determined, "why": "" if determined else "all runs have nearly the same loss"}
    line = {"intercept": cell(1.1, 0.01, **why), "slope": cell(-0.5, 0.01, **why), "r2": 0.98, "n_runs": len(rows)}
    paths["accuracy"].write_text(json.dumps(line))
    paths["accuracy_refits"], paths["limits"] = folder / "accuracy_refits.parquet", folder / "limits.parquet"
    rng = np.random.default_rng(7)
    samples = {name: np.concatenate([[value], value * rng.normal(1, 0.01, 20)])
               for name, value in (("intercept", 1.1), ("slope", -0.5))}  # fmt: skip
    tables.write(paths["accuracy_refits"], bootstrap_table.rows("accuracy", samples), tables.REFITS)
    tables.write(paths["limits"], limit_rows(laws, datasets, determined, human), tables.APPROACHES)

    lists = ("laws", "allocations", "predictions", "held_out", "refits", "shards", "quality", "autoattack")
    paths |= {name: [] for name in lists}
    for law in laws:
        paths["laws"].append(folder / f"{law}.json")
        paths["laws"][-1].write_text(json.dumps(law_file(law, datasets, determined)))
        paths["allocations"].append(folder / f"{law}.parquet")
        given = allocation_rows(law, rows, datasets) if with_allocations else []
        tables.write(paths["allocations"][-1], given, tables.ALLOCATIONS)
        rng = np.random.default_rng(len(law))
        given = [
            {"law": law, "predicted": r["adv_loss"] * rng.normal(1, 0.01), "loss": r["adv_loss"],
             **{k: r[k] for k in ("run", "model", "dataset", "params", "images", "fid", "flops")}}
            for r in rows if with_predictions and law != "envelope" and r["fid"] is not None
        ]  # fmt: skip
        paths["predictions"].append(folder / f"predictions-{law}.parquet")
        tables.write(paths["predictions"][-1], given, tables.PREDICTIONS)
        paths["held_out"].append(folder / f"held_out-{law}.parquet")
        tables.write(paths["held_out"][-1], given, tables.PREDICTIONS)
        paths["refits"].append(folder / f"refits-{law}.parquet")
        tables.write(paths["refits"][-1], refit_rows(law, datasets) if with_allocations else [], tables.REFITS)

    rng, run = np.random.default_rng(1), rows[-2 if mixture else -1]["run"]
    for split, count in (("train", 120), ("test", 80)):
        paths[f"{split}_images"] = folder / f"{split}.h5"
        images, labels = rng.integers(0, 256, (count, *pixels), dtype=np.uint8), np.arange(count) % 10
        shards.write(paths[f"{split}_images"], images, labels, {"class_names": CLASSES})
        if split == "test":
            paths["autoattack"].append(folder / "best.h5")
            write_attack(paths["autoattack"][0], run, images, labels, 8 / 255, fooled)
            paths["autoattack_record"] = paths["autoattack"][0]
        paths[f"inner_{split}"] = folder / f"inner-{split}.h5"
        write_attack(paths[f"inner_{split}"], run, images, labels, 8 / 255, fooled / 2, attacks=("inner",))
    paths |= human_study.write(folder, paths["autoattack_record"], paths["test_images"])
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
    """Draw one figure; return its PNG (as an array), the text in its SVG, the bytes of its files, and its table."""
    paths = {kind: folder / into / f"{name}.{kind}" for kind in ("png", "svg", "parquet")}
    registry.load(name, FIGURES)(paths=paths, **{noun: inputs[noun] for noun in FIGURE_INPUTS[name]})
    there = [path.name for path in (folder / into).iterdir() if path.name.lstrip(".").startswith(f"{name}.")]
    assert sorted(there) == sorted(path.name for path in paths.values())  # nothing half-written either
    files = {kind: path.read_bytes() for kind, path in paths.items()}
    text = " ".join("".join(node.itertext()) for node in ElementTree.fromstring(files["svg"]).findall(".//{*}text"))
    return imread(paths["png"]), text, files, tables.read(paths["parquet"], tables.DRAWN)

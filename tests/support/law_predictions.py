"""Runs and the losses that fitted laws predict for them."""


def run(model="wrn-10-1", dataset="edm-5", size=2000, seed=0, recipe=None, **given):
    """Return one row of tables.RUNS."""
    head = f"{model}@{recipe}" if recipe else model
    row = {
        "run": f"{head}/{dataset}/{size}/{seed}", "model": model, "dataset": dataset, "size": size, "seed": seed,
        "recipe": recipe, "fid": 8.8, "real_fraction": 0.0, "params": 80_000, "images": size,
        "flops": 600.0 * 80_000 * size, "adv_loss": 1.0, "adv_acc": 0.5, "test_images": 1000,
    }  # fmt: skip
    return row | given


def predictions(rows, law="additive", factor=lambda row: 1.01):
    """Return rows of tables.PREDICTIONS."""
    kept = ("run", "model", "dataset", "params", "images", "fid", "flops")
    return [
        {"law": law, **{name: row[name] for name in kept}, "loss": row["adv_loss"],
         "predicted": row["adv_loss"] * factor(row)}
        for row in rows
    ]  # fmt: skip


def law(name="additive", **given):
    """Return the content of a law file."""
    return {"law": name, "title": f"Approach of {name}", "datasets": [], "r2_by_dataset": {}, "fit": {}} | given

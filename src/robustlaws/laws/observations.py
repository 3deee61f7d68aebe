"""The observations of a study that laws are fitted to."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from robustlaws.settings import LawFit

REAL = "mixes real images in"
RECIPE = "trained by another recipe"
NO_FID = "its dataset has no FID"
SMALL = "small model on large data"
NO_CURVE = "no curve row late enough in training"
NOT_MEASURED = "no loss measured"
NO_LOSS = "loss not above 0"


@dataclass(frozen=True)
class Observations:
    """One observation a run; arrays of length n, in the order of the runs table.

    `run`, `model`, `dataset`: names; `params` N; `images` D; `fid`; `flops`; `loss` in nats;
    `left_out`: {reason: number of runs}.
    """

    run: np.ndarray
    model: np.ndarray
    dataset: np.ndarray
    params: np.ndarray
    images: np.ndarray
    fid: np.ndarray
    flops: np.ndarray
    loss: np.ndarray
    left_out: dict

    def __len__(self) -> int:
        return len(self.loss)

    @property
    def flops_per_parameter_image(self) -> float:
        """K in F = k N D: median over the runs, FLOPs; 7822 for the paper's networks."""
        return float(np.median(self.flops / (self.params * self.images)))

    def datasets(self) -> list[tuple[str, float]]:
        """Return [(dataset, FID)], in order of falling quality (rising FID)."""
        names = sorted(set(self.dataset))
        return sorted(((name, float(self.fid[self.dataset == name][0])) for name in names), key=lambda pair: pair[1])

    def of(self, chosen: np.ndarray) -> "Observations":
        """Return the observations where `chosen` (n,), bool, holds."""
        fields = ("run", "model", "dataset", "params", "images", "fid", "flops", "loss")
        return replace(self, **{name: getattr(self, name)[chosen] for name in fields})


def comparable(runs: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, int]]:
    """Return the runs that laws may use and {reason: number} of the others.

    Raises
    ------
    ValueError
        If there are no runs at all.
    """
    if not len(runs):
        raise ValueError("runs: the table is empty; a law needs finished runs")
    real = runs["real_fraction"] > 0
    recipe = runs["recipe"].notna() & ~real
    no_fid = runs["fid"].isna() & ~real & ~recipe
    left_out = {REAL: int(real.sum()), RECIPE: int(recipe.sum()), NO_FID: int(no_fid.sum())}
    return runs[~(real | recipe | no_fid)], {reason: count for reason, count in left_out.items() if count}


def _best_rows(runs, curves, min_train_fraction):
    # 1e-9: half of a run of odd length is a rounded number
    late = curves[curves["train_fraction"] >= min_train_fraction - 1e-9]
    late = late[late["run"].isin(runs["run"])]
    best = late.loc[late.groupby("run")["adv_loss"].idxmin()].set_index("run")
    kept = runs[runs["run"].isin(best.index)].copy()
    for column in ("adv_loss", "images", "flops"):
        kept[column] = best.loc[kept["run"], column].to_numpy()
    return kept


def observe(runs: pd.DataFrame, curves: pd.DataFrame, settings: LawFit) -> Observations:
    """Return the observations that approaches 2 and 3 are fitted to.

    Parameters
    ----------
    runs, curves : data frames
        As `tables.RUNS` and `tables.CURVES`.
    settings : settings.LawFit
        `observations` "final": each run's own row. "best": the row of its curve with the lowest
        adversarial loss among those from `min_train_fraction` of training on; its D and FLOPs are that
        row's. `small_on_large`: None, or {"params_below", "images_above", "fid_below"}: runs for
        which all three hold (images: the size asked for) are left out.

    Raises
    ------
    ValueError
        If there are no runs at all, or `observations` is neither.

    Source: `spec/laws.md`, data rules of the published fits.
    """
    if settings.observations not in ("final", "best"):
        raise ValueError(f"laws observations: unknown {settings.observations!r}; known: best, final")
    chosen, left_out = comparable(runs)

    def keep(kept, reason):
        if len(kept) < len(chosen):
            left_out[reason] = len(chosen) - len(kept)
        return kept

    rule = settings.small_on_large
    if rule is not None:
        small = (chosen["params"] < rule["params_below"]) & (chosen["size"] > rule["images_above"])
        chosen = keep(chosen[~(small & (chosen["fid"] < rule["fid_below"]))], SMALL)
    if settings.observations == "best":
        chosen = keep(_best_rows(chosen, curves, settings.min_train_fraction), NO_CURVE)
    chosen = keep(chosen[chosen["adv_loss"].notna()], NOT_MEASURED)
    chosen = keep(chosen[(chosen["adv_loss"] > 0) & (chosen["images"] > 0) & (chosen["flops"] > 0)], NO_LOSS)
    columns = {column: chosen[column].to_numpy(dtype=object) for column in ("run", "model", "dataset")}
    columns |= {column: chosen[column].to_numpy(dtype=float) for column in ("params", "images", "fid", "flops")}
    return Observations(**columns, loss=chosen["adv_loss"].to_numpy(dtype=float), left_out=left_out)

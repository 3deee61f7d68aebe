"""The parameters of a fit and of its bootstrap refits as a table, the source of all intervals.

In memory they are a dict {parameter: float array (1 + refits,)}, the fit itself first.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from robustlaws.storage import tables


def rows(law: str, samples: Mapping[str, np.ndarray], dataset: str | None = None) -> pd.DataFrame:
    """Return the rows of `tables.REFITS` of one fit, as a data frame.

    Parameters
    ----------
    law : str
    samples : dict of str to float array (1 + refits,)
        The fit itself first.
    dataset : str, optional
        Whose fit it is, of a law that is fitted to each by itself.
    """
    frames = [
        pd.DataFrame({"law": law, "dataset": dataset, "refit": np.arange(len(values)), "parameter": name,
                      "value": np.where(np.isfinite(values), values, np.nan)})
        for name, values in ((name, np.atleast_1d(np.asarray(values, dtype=float))) for name, values in samples.items())
    ]  # fmt: skip
    return pd.concat(frames, ignore_index=True) if frames else tables.table([], tables.REFITS)


def samples(table: pd.DataFrame, law: str, dataset: str | None = None) -> dict[str, np.ndarray]:
    """Return {parameter: float array (1 + refits,)} of one fit; empty where the law was not fitted.

    Parameters
    ----------
    table : data frame
        As `tables.REFITS`, of one law or several.
    law : str
    dataset : str, optional
    """
    mine = table[table["law"] == law]
    mine = mine[mine["dataset"].isna() if dataset is None else mine["dataset"] == dataset]
    return {
        name: own.sort_values("refit")["value"].to_numpy(dtype=float)
        for name, own in mine.groupby("parameter", sort=False)
    }

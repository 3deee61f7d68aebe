"""A form of the loss with fitted parameters, and the entries of its numbers."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from robustlaws.laws import determination
from robustlaws.laws.form import Form
from robustlaws.laws.observations import Observations


@dataclass(frozen=True)
class Fitted:
    """A form, what it was fitted to, and the fit with its refits.

    Parameters are dicts as `form.Form` has them: coefficients as logs. `logs`: the fit's, floats; `refits`: the
    bootstrap's, arrays (refits,), none with `no_refits` to say why; `without`: {dataset: those of a fit that leaves
    it out}, for the datasets that may not decide; `held_out`: {dataset: those of a fit that has not seen it}, for
    predictions.

    `seen`: the observations fitted to; `core`: those of them that N and D are report by; `everyone`: all that are
    predicted. `levels`: {axis: distinct levels among those that the axis is report by}.

    `report`: the summary's "fit"; `unresolved`, `at_bounds`: names of coordinates; `ended`: {coordinate: whether each
    refit ended at its bound, (refits,)}; `refits_converged` (refits,), bool.
    """

    form: Form
    seen: Observations
    core: Observations
    everyone: Observations
    levels: dict
    logs: dict
    refits: dict
    without: dict
    held_out: dict
    report: dict
    unresolved: tuple
    at_bounds: tuple
    ended: dict
    refits_converged: np.ndarray
    level: float
    no_refits: str = ""

    def predict(self, seen: Observations, logs: dict[str, Any] | None = None) -> np.ndarray:
        """Return the losses (n,) of observations, by the fit or by other parameters."""
        return self.form.loss(
            self.logs if logs is None else logs, np.log(seen.params), np.log(seen.images), np.asarray(seen.fid)
        )

    def reason(self, name: str) -> str:
        """Why `name` is not determined whatever its interval, or ""."""
        if self.no_refits:
            return self.no_refits
        if not self.report["converged"]:
            return "the fit has not converged"
        few = [axis for axis in self.form.rests_on[name] if self.levels[axis] < determination.FEWEST_LEVELS]
        if few:
            return f"only {self.levels[few[0]]} distinct {few[0]}"
        tied = self.form.tied[name]
        if set(tied) & set(self.unresolved):
            return f"the runs do not tell {', '.join(self.unresolved)} apart"
        if set(tied) & set(self.at_bounds):
            return "the fit ends at the edge of what it may try"
        ended = np.any([self.ended[quantity] for quantity in tied], axis=0)
        if ended.sum() > (1 - self.level) / 2 * len(ended):
            return f"{int(ended.sum())} of {len(ended)} refits end at the edge of what the fit may try"
        return ""

    def poor(self, dataset: str) -> str:
        """Return why the form says nothing of a dataset's own numbers, or ""."""
        mine = self.everyone.of(self.everyone.dataset == dataset)
        r2 = determination.r_squared(mine.loss, self.predict(mine))
        return (
            f"the form does not hold for {dataset}: R2 {r2:.2g}" if r2 is not None and r2 < determination.POOR else ""
        )

    def entry(
        self,
        compute: Callable[[dict[str, Any]], Any],
        judge: Callable[..., Any],
        name: str,
        dataset: str | None = None,
        why: str = "",
    ) -> dict[str, Any]:
        """Return the summary's entry of `compute(logs)`, a number of `dataset` if one is named; `why` it is unknown."""
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            value, samples = compute(self.logs), compute(self.refits)
            without = {
                left_out: compute(logs)
                for left_out, logs in self.without.items()
                if left_out != dataset and self._says(name, left_out)
            }
        if name in self.form.of_quality and self.levels["FID"] < 2:
            return determination.unknown(self.reason(name)) | {"value": determination.finite(value)}
        if judge is determination.loss_above_zero:
            judge = judge(float(self.seen.loss.min()))
        return determination.entry(value, samples, self.level, judge, self.reason(name) or why, without)

    def _says(self, name, left_out):
        """Whether the fit without one dataset still has the levels of FID that `name` needs."""
        fids = self.seen.fid[self.seen.dataset != left_out]
        return "FID" not in self.form.rests_on[name] or determination.levels(fids) >= determination.FEWEST_LEVELS

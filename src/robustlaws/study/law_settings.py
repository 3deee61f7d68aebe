"""Settings of laws, limits and the plan from the config. Imports no torch."""

from robustlaws.laws import LAWS, PARAMETERS
from robustlaws.networks import wrn_flops
from robustlaws.settings import LawFit, Limits, Plan, given
from robustlaws.study.base import StudyBase

# Settings that only some laws know; the others must not become stale by them.
_SPECIAL = {setting for law in LAWS.values() for setting in law.settings}
# Settings that a fit does not use, at fixed values.
_ENVELOPE = {"observations": "final", "huber_delta": 0.001, "starts": "small", "small_on_large": None}
_UNUSED = {
    "envelope": _ENVELOPE,
    "accuracy": _ENVELOPE | {"min_train_fraction": 0.5, "budgets": 2, "extrapolate": 1.0},
}
_AS_A_RULE = 10.0  # times the dearest run: the budget that is planned where none is given


class Analysing(StudyBase):
    """The part of :class:`robustlaws.study.Study` that concerns laws and plans."""

    def law(self, law: str) -> LawFit:
        """Return the settings of the fit of a law, or of the line from loss to accuracy ("accuracy")."""
        foreign = _SPECIAL - set(LAWS[law].settings if law in LAWS else ())
        own = {key: value for key, value in given(LawFit, self.config["laws"]).items() if key not in foreign}
        own |= _UNUSED.get(law, {})
        return LawFit(law=law, seed=self._seed("law", law), **own)

    @property
    def beside_published(self) -> bool:
        """Whether the paper's own runs are fitted too."""
        return self.config["laws"].get("beside_published", True)

    def limits(self) -> Limits:
        """Return the settings of the numbers that are drawn out of the laws."""
        own = self.config["laws"]
        human = None if self.human_level_measured else own.get("human_accuracy")
        return Limits(tuple(own.get("at_flops", ())), human, own["level"])

    @property
    def human_level_measured(self) -> bool:
        """Whether the human level is that of the participants of this study."""
        return self.config["laws"].get("human_accuracy") == "study"

    @property
    def planning_law(self) -> str:
        """The law that is planned with: without one in the config, the first that gives a loss at any N and D."""
        fitted = self.config["laws"]["fit"]
        return self.config.get("plan", {}).get("law", min(fitted, key=lambda law: law not in PARAMETERS))

    def plan(self) -> Plan:
        """Return the settings of the planner."""
        config, own = self.config, given(Plan, self.config.get("plan", {}))
        if all(own[name] is None for name in ("flops", "gpu_hours", "accuracy")):
            dearest = max(wrn_flops.training_flops(t, t.draws)["flops"] for t in map(self.training, self.runs.values()))
            own["flops"] = _AS_A_RULE * dearest
        training = config["training"]
        by_size = "paper"
        shape = next(iter(config["models"].values()))
        return Plan(
            law=self.planning_law,
            architecture=self._architecture(shape),
            attack_steps=training["attack_steps"],
            batch=None if training["batch"] == by_size else training["batch"],
            learning_rate=None if training["learning_rate"] == by_size else training["learning_rate"],
            accounting_epoch=training.get("epoch_images"),
            models=tuple({"name": name, **model} for name, model in config["models"].items()),
            datasets=tuple({"name": name, "images": d["images"]} for name, d in config["datasets"].items()),
            runs=tuple(self.runs),
            level=config["laws"]["level"],
            seed=self._seed("plan"),
            small_on_large=config["laws"].get("small_on_large"),
            pool=training.get("pool", "size"),
            least_images=_least_images(training.get("epoch_images"), training["warmup_fraction"]),
            taken=tuple(self.checkpoints),
            **own,
        )


def _least_images(epoch_images, warmup_fraction):
    """Return the images of the shortest run whose schedule has an epoch of warm-up: 41 of the paper's epochs."""
    if not epoch_images:
        return 1
    return epoch_images * (int(1 / warmup_fraction) + 1 if warmup_fraction else 1)

"""Settings of the human study from the config. Imports no torch."""

from typing import TYPE_CHECKING, Any

from robustlaws.figures import FIGURE_INPUTS
from robustlaws.humans import VARIANTS
from robustlaws.settings import (
    Answers,
    InnerAttack,
    Judging,
    Presentation,
    Quiz,
    Simulation,
    Stimuli,
    VisionModel,
    given,
)
from robustlaws.study.base import StudyBase

if TYPE_CHECKING:
    from robustlaws.study import Study

# what figures are drawn from where there is a human study
_NOUNS = {"human_accuracy", "stimuli", "key", "validity", "inner_train", "inner_test", "autoattack_record"}
_BATCH = 128  # images that the attack of the training meets at once; decides nothing but rounding


class Showing(StudyBase):
    """The part of :class:`robustlaws.study.Study` that concerns the human study."""

    @property
    def humans(self) -> dict[str, Any]:
        """The block `humans` of the config; empty without one."""
        return self.config.get("humans", {})

    @property
    def bundles(self) -> list[str]:
        """Names of the bundles of stimuli: "test", and "train" where training images are attacked too."""
        if not self.humans:
            return []
        return ["test", *(["train"] if "training" in self.humans else [])]

    @property
    def vision_models(self) -> list[str]:
        """Names of the vision models of the study."""
        return list(self.humans.get("models", {}))

    def asked_about(self, bundle: str) -> list[str]:
        """Return the names of the models that are asked about a bundle: none where participants are simulated.

        Recorded replies are those to the test images.
        """
        if "simulated" in self.humans:
            return []
        return [name for name, own in self.humans.get("models", {}).items() if bundle == "test" or "replay" not in own]

    def given_answers(self, bundle: str) -> list[str]:
        """Return the files of answers that the config names for a bundle."""
        if "simulated" in self.humans:
            return []
        own = self.humans if bundle == "test" else self.humans.get("training", {})
        return own.get("answers", [])

    def inner_attack(self, split: str) -> InnerAttack:
        """Return the settings of the attack of the training on the images of a split."""
        victim = self.humans["victim"]
        kind, name = victim.split("/", 1)
        if kind == "checkpoints":
            shape, training = self.checkpoint(name).architecture, self.config["training"]
        else:
            run = self.run(name)
            shape = self._architecture(self.config["models"][run.model])
            training = self.config["training"] | (self.config["recipes"][run.recipe] if run.recipe else {})
        images = self.humans.get("training", {}).get("images", 1000)
        return InnerAttack(
            run=name,
            architecture=shape,
            threat=self._threat,
            seed=self._seed("attack", "inner", split),
            steps=training["attack_steps"],
            step_size=training["attack_step_size"],
            objective=training.get("attack_objective", "kl"),
            images=self._attacked_images("autoattack") if split == "test" else images,
            batch=_BATCH,
        )

    def stimuli(self, bundle: str) -> Stimuli:
        """Return the settings of the stimuli of a bundle."""
        return Stimuli(
            run=self.humans["victim"].split("/", 1)[1],
            split=bundle,
            seed=self._seed("stimuli", bundle),
            **given(Stimuli, self.humans),
        )

    def presentation(self) -> Presentation:
        """Return the settings of what the web application shows beside the images."""
        return Presentation(study=self.name, **given(Presentation, self.humans))

    def simulation(self, bundle: str) -> Simulation:
        """Return the settings of the simulated participants of a bundle."""
        return Simulation(**given(Simulation, self.humans["simulated"]), seed=self._seed("simulated", bundle))

    def vision_model(self, name: str) -> VisionModel:
        """Return the settings of the vision model called `name`."""
        own, shown = given(VisionModel, self.humans["models"][name]), self.presentation()
        own["variants"] = [variant for variant in VARIANTS if variant in own["variants"]]
        own["parameters"] = _one_spelling(own["parameters"])
        replay = "replay" in self.humans["models"][name]
        return VisionModel(name=name, enlarged=shown.enlarged, smooth=shown.smooth, replay=replay, **own)

    def answers(self, bundle: str) -> Answers:
        """Return the settings of the table of answers of a bundle."""
        return Answers(bundle, "simulated" in self.humans)

    def judging(self, bundle: str) -> Judging:
        """Return the settings of the judgement on a bundle."""
        return Judging(**given(Judging, self.humans.get("validity", {})), seed=self._seed("judging", bundle))

    def quiz(self) -> Quiz:
        """Return the settings of the quiz."""
        own = self.humans
        return Quiz(self.name, own.get("quiz", 25), self.presentation().smooth, self._seed("quiz"))


def _one_spelling(value):
    """Return JSON with whole numbers as such: 0.0 for 0 must not ask, and pay, again."""
    if isinstance(value, dict):
        return {name: _one_spelling(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_one_spelling(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def check_humans(study: "Study") -> None:
    """Check the human study of a `study.Study`; ValueError, one line, for one that cannot be made."""
    own, where = study.humans, f"{study.origin} humans"
    if not own:
        if study.human_level_measured:
            raise ValueError(
                f"{study.origin} laws.human_accuracy: 'study' is that of the block humans, which is missing"
            )
        for index, figure in enumerate(study.config["figures"]):
            if set(FIGURE_INPUTS[figure]) & _NOUNS:
                raise ValueError(f"{study.origin} figures[{index}]: {figure!r} shows the human study; add humans")
        return
    attacked = study.victims("autoattack")
    if own["victim"] not in attacked:
        raise ValueError(
            f"{where}.victim: {own['victim']!r} does not meet AutoAttack;"
            f" {'these do: ' + ', '.join(attacked[:5]) if attacked else 'name it in attacks.autoattack.runs'}"
        )
    for key in ("image_seconds", "answer_seconds"):
        if key in own and own.get("page") == "batch":
            raise ValueError(f"{where}.{key}: times are those of one image; only with page: single")
    for name, model in own.get("models", {}).items():
        if "cost_limit" in model and "price" not in model:
            raise ValueError(f"{where}.models.{name}.price: missing; cost_limit is counted by it")
        for key in model.get("parameters", {}):
            if key in ("model", "messages", "stream", "n"):
                raise ValueError(f"{where}.models.{name}.parameters.{key}: the study sets it; leave it out")

"""Shared parts of a study: config, runs, seeds and architectures."""

from typing import TYPE_CHECKING, Any

from robustlaws.seeds import derive
from robustlaws.settings import Architecture, Checkpoint, Threat, Training

if TYPE_CHECKING:
    from robustlaws.study import Run


class StudyBase:
    """The base of the parts of :class:`robustlaws.study.Study`.

    Attributes
    ----------
    config : dict
        The checked config.
    name, origin : str
        Of the study, and the file its config comes from.
    runs : dict of str to Run
    """

    config: dict[str, Any]
    name: str
    origin: str
    runs: dict[str, "Run"]

    if TYPE_CHECKING:  # defined by Study

        @property
        def checkpoints(self) -> list[str]:
            """Names of the checkpoints that the study imports."""

        def ingredients(self, dataset: str) -> tuple[dict[str, float], float]:
            """Return the datasets of a mixture with their shares, and the share of real images."""

        def run(self, name: str) -> "Run":
            """Return the run called `name`."""

        def training(self, run: "Run") -> Training:
            """Return the settings of the training of a run."""

        def checkpoint(self, name: str) -> Checkpoint:
            """Return the settings of the import of a checkpoint."""

    def _seed(self, *names: object) -> int:
        return derive(self.config["seed"], *names)

    def _architecture(self, shape: dict[str, Any]) -> Architecture:
        image = self.config["image"]
        return Architecture(
            shape["depth"],
            shape["width"],
            image["classes"],
            image["channels"],
            image["size"],
            tuple(shape.get("mean", image["mean"])),
            tuple(shape.get("std", image["std"])),
        )

    @property
    def _threat(self) -> Threat:
        return Threat(**self.config["threat"])

    def _attacked_images(self, attack: str) -> int:
        # chunks are jobs, so their number must be known before the test split is; validate.py sees to that
        given = (self.config["attacks"][attack].get("images"), self.config["source"].get("test_images"))
        return min(count for count in given if count is not None)

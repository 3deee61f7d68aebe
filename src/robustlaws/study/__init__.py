"""A study from its config: runs, datasets, shards, and the settings of each job. Imports no torch.

The Snakefile makes one :class:`Study`; rules ask it for names and settings. It has no paths.
"""

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from math import ceil
from pathlib import Path
from typing import Any

from robustlaws import registry
from robustlaws.attacks import ATTACKS, CHUNKED
from robustlaws.networks import wrn_flops
from robustlaws.settings import (
    Checkpoint,
    Collect,
    CollectAttacks,
    Crate,
    Curve,
    Export,
    Training,
    accounting,
    given,
)
from robustlaws.study.human_settings import Showing
from robustlaws.study.image_settings import Generating
from robustlaws.study.law_settings import Analysing
from robustlaws.study.validate import check_runs, checked


@dataclass(frozen=True)
class Run:
    """One run of the grid; its `name` is model/dataset/size/seed, of another recipe model@recipe/dataset/size/seed."""

    model: str
    dataset: str
    size: int
    seed: int
    recipe: str | None = None  # None: the study's training as it stands

    @property
    def label(self) -> str:
        """The model, and the recipe where it is another one: the first folder of the run."""
        return f"{self.model}@{self.recipe}" if self.recipe else self.model

    @property
    def name(self) -> str:
        """The run's name and, under the runs of the study, its folder."""
        return f"{self.label}/{self.dataset}/{self.size}/{self.seed}"


class Study(Analysing, Generating, Showing):
    """The tables behind one config.

    Parameters
    ----------
    config : dict
        As read from YAML.
    schema_path : path
        Its schema.
    origin : str
        File the config comes from, for errors.

    Raises
    ------
    ValueError
        One line: file, key, what was given, what would do.
    """

    def __init__(self, config: dict[str, Any], schema_path: Path | str, origin: str = "config") -> None:
        self.config, self.origin = checked(config, schema_path, origin), origin
        self.name = self.config["study"]
        self._training_settings: dict[Run, Training] = {}  # many ask for them
        self.runs = self._runs()
        check_runs(self)

    def _runs(self):
        runs = {}
        for block in self.blocks:
            axes = (block["models"], block["datasets"], block["sizes"], block.get("seeds", [1]))
            for model, dataset, size, seed in product(*axes):
                run = Run(model, dataset, int(size), int(seed), block.get("recipe"))
                runs[run.name] = run
        return runs

    @cached_property
    def blocks(self) -> list[dict[str, Any]]:
        """The blocks of the grid that are made: those without a part, and those whose part is chosen."""
        chosen = self.config.get("parts")
        return [block for block in self.config["grid"] if chosen is None or block.get("part") in (None, *chosen)]

    # names

    def ingredients(self, dataset: str) -> tuple[dict[str, float], float]:
        """Return ({dataset: share of the synthetic images}, share of real images) of a dataset or mixture."""
        mixture = self.config.get("mixtures", {}).get(dataset, {"dataset": dataset})
        shares = mixture.get("datasets", {mixture.get("dataset"): 1})
        # by name: the order of YAML keys must not retrain anything
        return dict(sorted(shares.items())), float(mixture.get("real_fraction", 0.0))

    def checkpoint_file(self, name: str) -> str:
        """Return the file that checkpoint `name` is imported from; ValueError if the config has none."""
        registry.check(name, self.config.get("checkpoints", {}), f"{self.origin} checkpoints")
        return self.config["checkpoints"][name]["file"]

    @property
    def attacks(self) -> list[str]:
        """Names of the attacks of the study, in the order of the schema."""
        return [name for name in self.config["attacks"] if name in ATTACKS]

    def victims(self, attack: str, kinds: Collection[str] = ("runs", "checkpoints")) -> list[str]:
        """Return the victims of an attack: `runs/<run>` and `checkpoints/<checkpoint>`, or only these `kinds`.

        An attack whose block names no runs meets every run; any attack of the study meets every checkpoint.
        """
        if attack not in self.attacks:
            return []
        wanted = self.config["attacks"][attack].get("runs", ["all"])
        names = {
            "runs": [name for name in self.runs if name in wanted or "all" in wanted],
            "checkpoints": self.checkpoints,
        }
        return [f"{kind}/{name}" for kind in kinds for name in names[kind]]

    @cached_property
    def attacks_on(self) -> dict[str, list[str]]:
        """{victim: names of the attacks that it meets}."""
        reached = {attack: set(self.victims(attack)) for attack in self.attacks}
        return {victim: [name for name in self.attacks if victim in reached[name]] for victim in self.victims("pgd_cw")}

    @property
    def attacked(self) -> list[tuple[str, str]]:
        """Pairs (victim, attack), all attacks of a victim together."""
        return [(victim, name) for victim, names in self.attacks_on.items() for name in names]

    def attacked_weights(self, attack: str, kind: str = "runs") -> str:
        """Return which weights an attack meets: "last" or "best" of a run, "imported" of a checkpoint."""
        return self.config["attacks"][attack].get("weights", "last") if kind == "runs" else "imported"

    def exported_weights(self, run: Run) -> str:
        """Return which weights of a :class:`Run` are exported: those that AutoAttack met, else the last."""
        attacked = "autoattack" in self.attacks_on[f"runs/{run.name}"]
        return self.attacked_weights("autoattack") if attacked else "last"

    def chunks(self, attack: str) -> list[str]:
        """Return the names of the chunks that a chunked attack is cut into."""
        images = self._attacked_images(attack)
        return [f"{index:05d}" for index in range(ceil(images / self.config["attacks"][attack]["chunk"]))]

    @property
    def exported_runs(self) -> list[str]:
        """Names of the runs that are exported for RobustBench."""
        wanted = self.config.get("export", {}).get("runs", [])
        return [name for name in self.runs if name in wanted or "all" in wanted]

    @property
    def checkpoints(self) -> list[str]:
        """Names of the checkpoints that the study imports, in the order of the config."""
        return list(self.config.get("checkpoints", {}))

    def run(self, name: str) -> Run:
        """Return the :class:`Run` called `name`; ValueError if the grid has none."""
        if name not in self.runs:
            raise ValueError(f"{self.origin} grid: no run {name!r}; for example {next(iter(self.runs))}")
        return self.runs[name]

    @property
    def science(self) -> dict[str, Any]:
        """The config without what only concerns the machine: what a report shows."""
        return {name: value for name, value in self.config.items() if name != "compute"}

    @property
    def about(self) -> dict[str, str]:
        """Title and description of the study, for the head of a page."""
        return {"title": self.name, "description": self.config.get("description", "")}

    # settings of each job

    def crate(self) -> Crate:
        """Return the settings of the table of origins and of the RO-Crate."""
        about = {"name": self.name, "description": self.config.get("description", "")}
        return Crate(**about, config=self.science, **self.config.get("crate", {}))

    def training(self, run: Run) -> Training:
        """Return the settings of the training of a :class:`Run`."""
        if run not in self._training_settings:
            self._training_settings[run] = self._training(run)
        return self._training_settings[run]

    def _training(self, run):
        own = self.config["training"] | (self.config["recipes"][run.recipe] if run.recipe else {})
        curve = dict(own.pop("curve"))
        if curve["fractions"] == "paper":
            epochs = accounting.epochs(run.size, own["epoch_images"])
            curve["fractions"] = tuple(epoch / epochs for epoch in accounting.metric_epochs(epochs))
        shares, real_fraction = self.ingredients(run.dataset)
        batch, rate = accounting.batch_and_rate(run.size) if "paper" in (own["batch"], own["learning_rate"]) else (0, 0)
        own["batch"] = batch if own["batch"] == "paper" else own["batch"]
        own["learning_rate"] = rate if own["learning_rate"] == "paper" else own["learning_rate"]
        return Training(
            run=run.name,
            architecture=self._architecture(self.config["models"][run.model]),
            threat=self._threat,
            seed=self._seed("train", run.model, run.dataset, run.size, run.seed),
            images=run.size,
            real_fraction=real_fraction,
            shares=tuple(shares.values()) if len(shares) > 1 else (),
            unique_images=self.config.get("mixtures", {}).get(run.dataset, {}).get("images"),
            curve=Curve(seed=self._seed("curve"), **curve),
            **own,
        )

    def checkpoint(self, name: str) -> Checkpoint:
        """Return the settings of the import of checkpoint `name`; ValueError if the config has none."""
        self.checkpoint_file(name)
        own = self.config["checkpoints"][name]
        return Checkpoint(name, self._architecture(own), **given(Checkpoint, own))

    def attack(self, attack: str, victim: str) -> Any:
        """Return the settings of an attack on a victim, named as in :meth:`victims`."""
        kind, name = victim.split("/", 1)
        if kind == "checkpoints":
            shape = self.checkpoint(name).architecture
        else:
            shape = self._architecture(self.config["models"][self.run(name).model])
        settings_class = ATTACKS[attack].settings_class
        own = given(settings_class, self.config["attacks"][attack])
        if attack in CHUNKED:
            own["images"] = self._attacked_images(attack)
        if kind == "checkpoints":
            own.pop("weights", None)  # of a run; a checkpoint has only these
        if attack == "pgd_cw":
            own["beta"] = self.config["training"]["beta"]
        return settings_class(
            run=name,
            architecture=shape,
            threat=self._threat,
            seed=self._seed("attack", attack) % 2**31,  # attack packages hand it to numpy as well
            **own,
        )

    def collecting_attacks(self) -> CollectAttacks:
        """Return the settings of the table of attacks."""
        kinds = {"runs": "run", "checkpoints": "checkpoint"}
        split = [(*victim.split("/", 1), attack) for victim, attack in self.attacked]
        records = tuple(
            {"victim": name, "kind": kinds[kind], "weights": self.attacked_weights(attack, kind), "attack": attack}
            for kind, name, attack in split
        )
        return CollectAttacks(self.config["attacks"].get("level", 0.95), records)

    def export(self, run: Run) -> Export:
        """Return the settings of the export of a :class:`Run`; ValueError if the config says nothing of it."""
        if "export" not in self.config:
            raise ValueError(f"{self.origin} export: missing; it says what the leaderboard asks for")
        own = given(Export, self.config["export"])
        attacked = "autoattack" in self.attacks_on[f"runs/{run.name}"]
        if "train_files" in self.config["source"]:  # a source without files has no test split but the study's
            own["test_kept"] = self.config["source"].get("test_images")
        return Export(
            run=run.name,
            architecture=self._architecture(self.config["models"][run.model]),
            threat=self._threat,
            autoattack=self.config["attacks"]["autoattack"]["version"] if attacked else None,
            **own,
        )

    def collecting(self) -> Collect:
        """Return the settings of the tables: what each run is, in the order of the grid."""
        image, rows = self.config["image"], []
        attacked = {victim.split("/", 1)[1] for victim in self.victims("autoattack", ["runs"])}
        weights = self.attacked_weights("autoattack") if attacked else None
        for run in self.runs.values():
            shape, (shares, real_fraction) = self.config["models"][run.model], self.ingredients(run.dataset)
            source = self.config["datasets"][next(iter(shares))] if len(shares) == 1 else {}
            training = self.training(run)
            size = (shape["depth"], shape["width"])
            forward = wrn_flops.wrn_forward_flops(*size, image["size"], image["classes"], image["channels"])
            rows.append(
                {
                    "run": run.name,
                    "model": run.model,
                    "dataset": run.dataset,
                    "size": run.size,
                    "seed": run.seed,
                    "recipe": run.recipe,
                    "generator": source.get("generator"),
                    "steps": source.get("steps"),
                    "real_fraction": real_fraction,
                    "depth": size[0],
                    "width": size[1],
                    "params": wrn_flops.wrn_parameters(*size, image["classes"], image["channels"]),
                    "forward_flops": forward,
                    "images": training.draws,
                    **wrn_flops.training_flops(training, training.draws),
                    "autoattack_weights": weights if run.name in attacked else None,
                }
            )
        return Collect(tuple(rows))

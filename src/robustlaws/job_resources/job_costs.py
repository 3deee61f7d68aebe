"""The cost of each job: images, FLOPs, bytes, by arithmetic from its settings. Imports no torch.

A pass is one forward pass of one image. A backward pass to the input costs as much; one to the weights and the input
costs twice as much (spec/training.md 3). An unknown cost is None, with the reason in words; it is never guessed.
"""

from dataclasses import dataclass, field

from robustlaws import registry, settings
from robustlaws.data import SOURCES
from robustlaws.job_resources.forward_passes import autoattack_passes, guided, measured_images, official, pgd_passes
from robustlaws.networks import unet_flops, wrn_flops
from robustlaws.stages import RULES

# in the order of the work; "learning curves" are part of the jobs that train
STAGES = (
    "data", "generators", "sampling", "quality", "training", "learning curves", "PGD", "AutoAttack",
    "other attacks", "human study", "interop", "analysis",
)  # fmt: skip

NETWORKED = ("edm", "pfgmpp", "dg")  # kinds of samplers that pass images through a network of known shape
_TRAINED = 3  # passes of an image that a network learns from
_STATES = 3  # on disk at once: the two that are kept and the one that is being written
_LABEL, _DIGEST = 8, 8  # bytes an image, beside its pixels
_RECORD = {"pgd_cw": 57, "autoattack": 41}  # bytes an image in the record of an attack, beside the attacked image
_GRID = 8 * (2 * 18 - 1)  # evaluations for each class of the grid of images that a trained generator is shown by


@dataclass(frozen=True)
class Known:
    """Facts from finished files that the config lacks.

    Attributes
    ----------
    train_images, test_images : int or None
        Images of the imported splits.
    networks : dict
        Generator -> settings.Network; guided generator -> (extractor, discriminator), both settings.Encoder.
    """

    train_images: int | None = None
    test_images: int | None = None
    networks: dict = field(default_factory=dict)


@dataclass(frozen=True)
class Cost:
    """The cost of a job, or the part of it that is counted under another stage.

    Attributes
    ----------
    stage : str
        One of STAGES.
    images : int
        Sampled, drawn for training, measured or attacked.
    flops : int or None
        Really computed; None: not counted.
    charged : int
        Of these, training as the paper charges it (`networks.cost.training_flops`).
    at_most : bool
        Whether `flops` is an upper bound.
    bytes : int or None
        That stay on disk, without the headers of files; None: not counted.
    kept : int
        Bytes that lie beside them while the job runs, at most.
    missing : str
        Uncounted parts, with the reason.
    """

    stage: str
    images: int = 0
    flops: int | None = 0
    charged: int = 0
    at_most: bool = False
    bytes: int | None = 0
    kept: int = 0
    missing: str = ""


class Costs:
    """The costs of the jobs of a study.

    Parameters
    ----------
    study : study.Study
    known : Known
    """

    def __init__(self, study, known=None):
        self.study, self.known = study, known or Known()
        image = study.config["image"]
        self.pixels = image["size"] ** 2 * image["channels"]
        self.train_images, self.test_images = self._splits()

    def of(self, rule, wildcards):
        """Return the costs of a job, its own first, then those of its parts that count under other stages.

        Parameters
        ----------
        rule : str
            Rule of the workflow; one without a method here is analysis.
        wildcards : dict of str

        Raises
        ------
        ValueError
            If `stages.RULES` does not know the rule.
        """
        of_rule = _OF_RULES.get(registry.check(rule, RULES, "rule"))
        cost = of_rule(self, **wildcards) if of_rule else Cost("analysis")
        return [cost] if isinstance(cost, Cost) else cost

    def _splits(self):
        source = self.study.config["source"]
        train, test = SOURCES[source["name"]].images or (None, None)
        kept = source.get("train_images"), source.get("test_images")
        if test == 0:  # one set that is split
            train, test = (train - kept[1], kept[1]) if kept[1] else (None, None)
        pairs = ((train, kept[0]), (test, kept[1]))
        train, test = (min((n for n in pair if n is not None), default=None) for pair in pairs)
        return self.known.train_images or train, self.known.test_images or test

    def _unknown_split(self, stage, what, split):
        why = f"{what}: how many {split} images there are is not known before they are imported"
        return Cost(stage, flops=None, bytes=None, missing=f"{why} (source.{split}_images says it)")

    def _wrn(self, architecture):
        a = architecture
        return wrn_flops.wrn_forward_flops(a.depth, a.width, a.image_size, a.classes, a.channels)

    def _wrn_bytes(self, architecture):
        a = architecture
        return 4 * wrn_flops.wrn_parameters(a.depth, a.width, a.classes, a.channels)

    # data

    def _fetch_file(self, external):
        return Cost("data", bytes=None, missing="disk of files that are fetched")

    def _import_data(self):
        if None in (self.train_images, self.test_images):
            split = "test" if self.train_images else "train"
            return self._unknown_split("data", "disk of the real images", split)
        images = self.train_images + self.test_images
        return Cost("data", images, bytes=images * (self.pixels + _LABEL + _DIGEST))

    def _stage_samples(self, generator):
        return Cost(
            "data", bytes=None, missing=f"disk of the index of {generator}'s files (compressed images unpacked)"
        )

    # generators

    def denoiser(self, generator):
        """Return the settings.Network of a generator of the EDM family, None if its file does not tell yet."""
        own = self.study.config["generators"][generator]
        if generator in self.known.networks:
            return self.known.networks[generator]
        return official(own["checkpoint"]) if "checkpoint" in own else self.study.network(generator)

    def pair(self, generator):
        """Return the settings.Encoder of extractor and discriminator of a guided generator, each None if unknown."""
        own = self.study.config["generators"][generator]
        if generator in self.known.networks:
            return self.known.networks[generator]
        if "checkpoint" in own:
            return tuple(official(own["checkpoint"][which]) for which in ("extractor", "discriminator"))
        return tuple(self.study.encoder(generator, which).network for which in ("extractor", "discriminator"))

    def _train_generator(self, generator):
        s = self.study.generator(generator)
        images, network = s.batch * s.updates, s.network
        learning = unet_flops.unet(network, augmented=True)
        grid = _GRID * min(network.label_dim or 1, 25) * unet_flops.unet(network).flops
        weights = 4 * learning.parameters
        # network, average and the two moments of Adam
        kept = _STATES * 4 * weights
        return Cost("generators", images, _TRAINED * learning.flops * images + grid, bytes=weights, kept=kept)

    def _import_generator(self, generator):
        network = self.denoiser(generator)
        if network is None:
            return Cost("generators", bytes=None, missing=self._unknown_shape(generator))
        return Cost("generators", bytes=4 * unet_flops.unet(network).parameters)

    def _unknown_shape(self, generator):
        return f"{generator}: the shape of its network is not known before it is imported"

    def _train_encoder(self, generator, which):
        s = self.study.encoder(generator, which)
        images, learning = s.batch * s.updates, unet_flops.encoder(s.network)[1]
        looking = 0 if which == "extractor" else unet_flops.encoder(self.pair(generator)[0])[0].flops
        weights = 4 * learning.parameters
        flops = (_TRAINED * learning.flops + looking) * images
        return Cost("generators", images, flops, bytes=weights, kept=_STATES * 3 * weights)

    def _train_extractor(self, generator):
        return self._train_encoder(generator, "extractor")

    def _train_discriminator(self, generator):
        return self._train_encoder(generator, "discriminator")

    def _import_pair(self, generator):
        pair = self.pair(generator)
        if None in pair:
            return Cost("generators", bytes=None, missing=self._unknown_shape(generator))
        return Cost("generators", bytes=sum(4 * unet_flops.encoder(network)[1].parameters for network in pair))

    # sampling

    def _sample_shard(self, dataset, shard):
        s = self.study.sampling(dataset, shard)
        flops, missing = self._image_flops(s)
        if flops is not None:  # the network sees whole batches, those at the ends of a shard too
            flops *= s.batch * (-(-(s.first + s.count) // s.batch) - s.first // s.batch)
        size = s.count * (self.pixels + _LABEL + _DIGEST)
        kept = s.count * (self.pixels + _LABEL)
        return Cost("sampling", s.count, flops, bytes=size, kept=kept, missing=missing)

    def _image_flops(self, s):
        """Return (FLOPs of one image, or None; what is not counted)."""
        if s.sampler == "files":
            return 0, ""
        if s.sampler == "pipeline":
            return None, f"FLOPs of {s.dataset}: a pipeline's network is its own"
        if s.sampler not in NETWORKED:
            return None, f"FLOPs of {s.dataset}: those of a sampler of kind {s.sampler} are not known"
        network = self.denoiser(self.study.base_of(s.generator))
        pair = self.pair(s.generator) if s.sampler == "dg" else ()
        if network is None or None in pair:
            return None, f"FLOPs of {s.dataset}, as of {self._unknown_shape(s.generator)}"
        flops = (2 * s.steps - 1) * unet_flops.unet(network).flops
        if pair:
            extractor, discriminator = pair
            asked = unet_flops.encoder(extractor)[0].flops + unet_flops.encoder(discriminator)[1].flops
            flops += 2 * guided(s) * asked  # forward, and backward to the image
        return flops, ""

    # quality

    def _train_features(self):
        s = self.study.features()
        if self.train_images is None:
            return self._unknown_split("quality", "the features of the FID", "train")
        images = s.epochs * (self.train_images // s.batch * s.batch)
        passes = _TRAINED * images + (self.test_images or 0)
        return Cost("quality", images, passes * self._wrn(s.architecture), bytes=self._wrn_bytes(s.architecture))

    def _moments(self, settings, images, what, split="test"):
        if images is None:
            return self._unknown_split("quality", f"moments of the {what}", split)
        a = settings.architecture
        width = 64 * a.width if a else unet_flops.INCEPTION_FEATURES
        forward = self._wrn(a) - 2 * width * a.classes if a else unet_flops.INCEPTION_FLOPS
        pieces = max(1, len(settings.cuts))
        size = pieces * 8 * (2 + width + width * (width + 1) // 2)
        return Cost("quality", images, images * (forward + 2 * width**2), bytes=size)

    def _measure_split(self, split):
        images = {"train": self.train_images, "test": self.test_images}[split]
        return self._moments(self.study.moments(), images, f"{split} images", split)

    def _measure_shard(self, dataset, shard):
        settings = self.study.shard_moments(dataset, shard)
        return self._moments(settings, settings.cuts[-1], dataset)

    def _measure_quality(self, dataset):
        return Cost("quality")  # a root of a matrix

    # training

    def _train_run(self, model, dataset, size, seed):
        s = self.study.training(self.study.run(f"{model}/{dataset}/{size}/{seed}"))
        step_flops, weights = wrn_flops.training_flops(s, s.draws), self._wrn_bytes(s.architecture)
        spent, charged = int(step_flops["flops_spent"]), int(step_flops["flops"])
        best = weights if s.validation_images else 0
        # network, average, momentum, and the best weights so far
        kept = _STATES * (3 * weights + best)
        training = Cost("training", s.draws, spent, charged, bytes=2 * weights, kept=kept)
        images = measured_images(s, self.test_images)
        flops = pgd_passes(s.curve.attack_steps) * images * self._wrn(s.architecture)
        return [training, Cost("learning curves", images, flops, at_most=True)]

    # attacks

    def _attack_run(self, victim, attack):
        s = self.study.attack(attack, victim)
        images = min((n for n in (s.images, self.test_images) if n is not None), default=None)
        if images is None:
            return self._unknown_split("PGD", "PGD", "test")
        size = self._record(attack, images)
        if not isinstance(s, settings.PgdCw):
            missing = f"FLOPs of {attack}: those of an attack of one's own are not known"
            return Cost("other attacks", images, None, bytes=size, missing=missing)
        passes = pgd_passes(s.steps) + 1  # the network is looked at before
        flops = passes * images * self._wrn(s.architecture)
        return Cost("PGD", images, flops, at_most=True, bytes=size)

    def _record(self, attack, images):
        return images * (4 * self.pixels + _RECORD.get(attack, _RECORD["pgd_cw"]))

    def _attack_chunk(self, victim, attack, chunk):
        s = self.study.attack(attack, victim).of_chunk(int(chunk))
        images = s.images - int(chunk) * s.chunk
        flops = autoattack_passes(s) * images * self._wrn(s.architecture)
        kept = _STATES * images * (4 * self.pixels + 3 * 8)
        size = self._record(attack, images)
        return Cost("AutoAttack", images, flops, at_most=True, bytes=size, kept=kept)

    def _gather_chunks(self, victim, attack):
        return Cost("AutoAttack", bytes=self._record(attack, self.study.attack(attack, victim).images))

    # the human study

    def _attack_inner(self, bundle):
        s = self.study.inner_attack(bundle)
        there = self.train_images if bundle == "train" else self.test_images
        if there is None:
            return self._unknown_split("human study", "the attack of the training", bundle)
        images = min(s.images, there)
        flops = pgd_passes(s.steps) * images * self._wrn(s.architecture)
        return Cost("human study", images, flops, bytes=self._record("pgd_cw", images))

    def _ask_model(self, bundle, participant):
        return Cost(
            "human study", missing=f"what asking {participant} costs; humans.models.{participant}.cost_limit bounds it"
        )

    # other networks

    def _import_checkpoint(self, checkpoint):
        return Cost("interop", bytes=self._wrn_bytes(self.study.checkpoint(checkpoint).architecture))

    def _export_run(self, model, dataset, size, seed):
        run = self.study.run(f"{model}/{dataset}/{size}/{seed}")
        return Cost("interop", bytes=self._wrn_bytes(self.study.training(run).architecture))


# {rule: method of its name}
_OF_RULES = {name: vars(Costs)[f"_{name}"] for name in RULES if f"_{name}" in vars(Costs)}

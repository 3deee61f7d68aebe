"""Settings of data, generators, datasets and FIDs from the config. Imports no torch."""

from math import ceil
from typing import Any

from robustlaws.settings import (
    Architecture,
    Churn,
    Encoder,
    EncoderImport,
    EncoderTraining,
    Features,
    GeneratorImport,
    GeneratorTraining,
    Guidance,
    Import,
    Moments,
    Network,
    Pipeline,
    Quality,
    Sampling,
    Staging,
    given,
)
from robustlaws.storage.atomic import listing
from robustlaws.study.base import StudyBase

# the two shapes of the EDM family's U-Net (spec/generators.md 5)
_ARCHITECTURES: dict[str, dict[str, Any]] = {
    "ddpmpp": {"embedding_type": "positional", "noise": 1, "encoder_type": "standard", "resample_filter": (1, 1)},
    "ncsnpp": {"embedding_type": "fourier", "noise": 2, "encoder_type": "residual", "resample_filter": (1, 3, 3, 1)},
}
_AUGMENT_LABELS = 9
_READ_AT_ONCE = 16_384  # images of files
_LOOKED_AT = 256  # images that features are taken of at once


class Generating(StudyBase):
    """Names and settings of the stages data, generate and quality; a part of :class:`robustlaws.study.Study`."""

    # names

    def kind(self, generator: str) -> str:
        """Return the kind of a generator: edm, pfgmpp, dg, pipeline or files."""
        return self.config["generators"][generator]["kind"]

    def generator_of(self, dataset: str) -> str:
        """Return the name of the generator of a dataset."""
        return self.config["datasets"][dataset]["generator"]

    def base_of(self, generator: str) -> str:
        """Return the generator whose network samples: the base of a guided one, else itself."""
        return self.config["generators"][generator].get("base", generator)

    def made_by(self, *kinds: str, imported: bool | None = None) -> list[str]:
        """Return the generators of these kinds; those from a checkpoint, the others, or (None) both."""
        named = self.config["generators"].items()
        return [name for name, own in named if own["kind"] in kinds and imported in (None, "checkpoint" in own)]

    @property
    def external_files(self) -> list[str]:
        """Files from elsewhere that the config names: images, checkpoints, networks."""
        source, inception = self.config["source"], self.config["quality"].get("inception", {})
        files = [*source.get("train_files", []), *source.get("test_files", []), *inception.values()]
        files += [own["file"] for own in self.config.get("checkpoints", {}).values()]
        for own in self.config["generators"].values():
            given = own.get("checkpoint", {})
            pair = [given[name] for name in ("extractor", "discriminator")] if own["kind"] == "dg" and given else []
            files += pair or ([given] if given else own.get("files", []))
        return list(dict.fromkeys(files))

    @property
    def datasets(self) -> list[str]:
        """Names of the datasets that the grid uses, in the order of the config; each has a FID."""
        used = {name for run in self.runs.values() for name in self.ingredients(run.dataset)[0]}
        return [name for name in self.config["datasets"] if name in used]

    def shards(self, dataset: str, images: int | None) -> list[str]:
        """Return the names of the shards that hold the first `images` images of a dataset."""
        return [f"{index:05d}" for index in range(ceil(images / self.config["sampling"]["shard_images"]))]

    def measured_images(self) -> int:
        """Return the number of first images of a dataset that its FIDs use."""
        return max(self._measured_ends)

    @property
    def _measured_ends(self) -> set[int]:
        """Numbers of first images at which a subset or a prefix ends."""
        quality = given(Quality, self.config["quality"])
        subsets = {quality["images"] * (k + 1) for k in range(quality["subsets"])}
        return subsets.union(quality.get("prefixes", ()))

    # settings of each job

    def importing(self) -> Import:
        """Return the settings of the import."""
        source, image = self.config["source"], self.config["image"]
        files = {key: tuple(source.get(key, ())) for key in ("train_files", "test_files")}
        return Import(
            source=source["name"],
            seed=self._seed("data"),
            **given(Import, source),
            **{key: image[key] for key in ("size", "channels", "classes")},
            train_files=files["train_files"],
            test_files=files["test_files"],
            contents=listing([path for split in files.values() for path in split]),
        )

    def network(self, generator: str) -> Network:
        """Return the settings of the U-Net that a trained generator has."""
        image, own = self.config["image"], dict(self.config["generators"][generator]["network"])
        shape = dict(_ARCHITECTURES[own.pop("architecture")])
        training = self.config["generators"][generator]["training"]
        return Network(
            img_resolution=image["size"],
            in_channels=image["channels"],
            out_channels=image["channels"],
            label_dim=image["classes"],
            augment_dim=_AUGMENT_LABELS if training["augment"] or training["mirror"] else 0,
            channel_mult_emb=4,
            label_dropout=0.0,
            channel_mult_noise=shape.pop("noise"),
            decoder_type="standard",
            **shape,
            **own,
        )

    def generator(self, name: str) -> GeneratorTraining:
        """Return the settings of the training of generator `name`."""
        own = self.config["generators"][name]
        return GeneratorTraining(
            kind=own["kind"],
            seed=self._seed("generator", name),
            network=self.network(name),
            augmented_dimension=own.get("dimension"),
            **own["training"],
        )

    def imported(self, name: str) -> GeneratorImport | EncoderImport:
        """Return the settings of the import of generator `name` from its checkpoint."""
        own = self.config["generators"][name]
        if own["kind"] == "dg":
            given = own["checkpoint"]
            return EncoderImport(name, given.get("sha256_extractor"), given.get("sha256_discriminator"))
        return GeneratorImport(name, own["kind"], own.get("sha256"))

    def encoder(self, name: str, which: str) -> EncoderTraining:
        """Return the settings of the training of one network of guided generator `name`: extractor or discriminator."""
        image, generator = self.config["image"], self.config["generators"][name]
        own = dict(generator[which])
        shape: dict[str, Any] = {key: tuple(own.pop(key)) for key in ("channel_mult", "attention")}
        shape |= {key: own.pop(key) for key in ("model_channels", "depth")}
        place = {"img_resolution": image["size"], "in_channels": image["channels"], "outputs": image["classes"]}
        extra = {}
        if which == "discriminator":
            under = generator["extractor"]
            place = {
                "img_resolution": image["size"] >> (len(under["channel_mult"]) - 1),
                "in_channels": under["model_channels"] * under["channel_mult"][-1],
                "outputs": 1,
                "label_table": image["classes"],
            }
            extra = {"fakes": generator["fakes"]["images"]}
        return EncoderTraining(
            generator=name,
            seed=self._seed(which, name),
            network=Encoder(**place, **shape),
            classes=image["classes"],
            **own,
            **extra,
        )

    def fakes(self, name: str) -> tuple[str, int]:
        """Return (dataset, images) that the discriminator of guided generator `name` learns on."""
        own = self.config["generators"][name]["fakes"]
        return own["dataset"], own["images"]

    def staging(self, name: str) -> Staging:
        """Return the settings of the staging of the files of generator `name`."""
        own, image = self.config["generators"][name], self.config["image"]
        return Staging(
            generator=name,
            **given(Staging, own),
            image_size=image["size"],
            channels=image["channels"],
            classes=image["classes"],
            sha256=tuple(own.get("sha256", ())),
            files=own["files"] if len(own["files"]) > 1 else (),
            contents=listing(own["files"]),
        )

    def sampling(self, dataset: str, shard: str) -> Sampling:
        """Return the settings of shard `shard` (its name) of a dataset."""
        own, image = self.config["datasets"][dataset], self.config["image"]
        common, images = given(Sampling, self.config["sampling"]), self.config["sampling"]["shard_images"]
        generator = self.config["generators"][own["generator"]]
        first = int(shard) * images
        # what a kind does not follow is the same for all studies, so that it can make nothing stale
        if generator["kind"] in ("pipeline", "files"):
            common |= {"sigma_min": 0.0, "sigma_max": 0.0, "rho": 0.0}
        if generator["kind"] == "files":
            common |= {"labels": "stored", "batch": min(_READ_AT_ONCE, images)}
            common.pop("seeds", None)
        return Sampling(
            dataset=dataset,
            generator=own["generator"],
            sampler=generator["kind"],
            steps=own.get("steps"),
            # guided and unguided images of one index start from the same latent
            seed=self._seed("sampling", self.base_of(own["generator"])),
            classes=image["classes"],
            image_size=image["size"],
            channels=image["channels"],
            first=first,
            count=min(images, own["images"] - first),
            churn=Churn(**given(Churn, own["churn"])) if "churn" in own else None,
            guidance=Guidance(**generator["guidance"]) if "guidance" in generator else None,
            pipeline=self._pipeline(generator) if generator["kind"] == "pipeline" else None,
            options=generator.get("options"),
            **common,
        )

    def _pipeline(self, generator):
        own = given(Pipeline, generator)
        named = generator.get("classifier")
        if named is not None:
            features = self.config["quality"].get("features")
            own["classifier"] = (
                self._architecture(features) if named == "features" else self.checkpoint(named).architecture
            )
        return Pipeline(**own)

    def features(self) -> Features:
        """Return the settings of the feature network of the FID."""
        own = self.config["quality"]["features"]
        return Features(architecture=self._architecture(own), seed=self._seed("features"), **given(Features, own))

    @property
    def _feature_network(self) -> tuple[str, Architecture | None]:
        features = self.config["quality"].get("features")
        return ("inception", None) if features is None else ("classifier", self._architecture(features))

    def moments(self, first: int = 0, count: int | None = None) -> Moments:
        """Return the settings of the moments of a file that holds `count` images of a dataset from image `first` on.

        Its pieces end where a subset or a prefix does. Without a count: of all images of a file, whatever it holds.
        """
        quality = self.config["quality"]
        cuts: tuple[int, ...] = ()
        if count is not None:
            ends = self._measured_ends
            stop = min(count, self.measured_images() - first)
            cuts = tuple(sorted({end - first for end in ends if 0 < end - first < stop} | {stop}))
        features, architecture = self._feature_network
        return Moments(features, architecture, cuts, quality.get("batch", _LOOKED_AT))

    def shard_moments(self, dataset: str, shard: str) -> Moments:
        """Return the settings of the moments of shard `shard` (its name) of a dataset."""
        sampling = self.sampling(dataset, shard)
        return self.moments(sampling.first, sampling.count)

    def quality(self, dataset: str) -> Quality:
        """Return the settings of the FID of a dataset."""
        own = self.config["datasets"][dataset]
        return Quality(
            dataset,
            own["generator"],
            own.get("steps"),
            *self._feature_network,
            **given(Quality, self.config["quality"]),
        )

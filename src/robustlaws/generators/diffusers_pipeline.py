"""Images of any diffusers pipeline, with a scheduler and a number of steps of the study's choice.

Source: classes and seeds of images as in spec/generators.md 4.
"""

import hashlib
import inspect
import json
from pathlib import Path

import diffusers
import numpy as np
import torch
from diffusers.utils import logging
from safetensors import SafetensorError
from torch.nn import functional as F

from robustlaws.data.tensors import to_network
from robustlaws.generators import latents
from robustlaws.networks import checkpoint
from robustlaws.seeds import derive
from robustlaws.storage.atomic import digest
from robustlaws.storage.embedded import content_digest

_OURS = ("batch_size", "generator", "num_inference_steps", "output_type", "return_dict")
_PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
_SCHEDULERS = "DDIMScheduler, DDPMScheduler, DPMSolverMultistepScheduler, DEISMultistepScheduler"  # some, for messages
_FAILURES = (TypeError, ValueError, AttributeError, NotImplementedError, IndexError)
_LUMA = (0.299, 0.587, 0.114)  # ITU-R 601, as Pillow's


class Sampler:
    """Images of a diffusers pipeline, class-conditional or labelled by a classifier.

    Image i starts from its own random generator, on the CPU. Schedulers that draw noise without the pipeline's
    generator draw from a stream of the batch. So an image is a function of the settings and its index, as batches
    always begin at a multiple of `settings.batch`.

    Pipeline images are cut to their central square and brought to the wanted size: by the mean over the area of each
    new pixel, or bilinearly if enlarged. They become grey by ITU-R 601, or repeat in three channels, as the study says,
    and are rounded to uint8.

    Parameters
    ----------
    files : dict of str to path
        `classifier`: weights of the network that labels the images of an unconditional pipeline.
    settings : settings.Sampling
        With `settings.pipeline`; class k of the study is class k of the pipeline.
    where : torch.device

    Attributes
    ----------
    provenance : dict
        Class of pipeline and scheduler, SHA-256 of the weights, versions.

    Raises
    ------
    ValueError
        If the pipeline cannot be had, would run code of its own or unpickle its weights, or cannot make images as
        the settings say.
    """

    def __init__(self, files, settings, where):
        self.settings, self.where, p = settings, where, settings.pipeline
        folder = _folder(p)
        weights = _check(folder)
        self._pipeline = _loaded(folder, p).to(where)
        self._pipeline.set_progress_bar_config(disable=True)
        self._swap_scheduler()
        self._parameters = inspect.signature(self._pipeline.__call__).parameters
        self._check_call()
        self._classifier = self._labelling(files.get("classifier"))
        local = Path(p.source).is_dir()
        self.provenance = {
            "pipeline": type(self._pipeline).__name__,
            "pipeline_source": folder.resolve().name if local else p.source,
            **({} if local else {"pipeline_revision": folder.name}),  # of the hub: the commit
            "scheduler": type(self._pipeline.scheduler).__name__,
            "weights_sha256": _digest(folder, weights),
            **({"classifier_sha256": content_digest(files["classifier"])} if self._classifier else {}),
            "diffusers": diffusers.__version__,
            "torch": str(torch.__version__),  # a subclass of str, which HDF5 does not take
        }

    def _swap_scheduler(self):
        p, pipeline = self.settings.pipeline, self._pipeline
        if not hasattr(pipeline, "scheduler"):
            raise ValueError(f"{p.source}: {type(pipeline).__name__} has no scheduler, so no steps to choose")
        kind = getattr(diffusers, p.scheduler, None) if p.scheduler else type(pipeline.scheduler)
        if not (inspect.isclass(kind) and issubclass(kind, diffusers.SchedulerMixin)):
            raise ValueError(f"scheduler: unknown {p.scheduler!r}; diffusers has {_SCHEDULERS} and others")
        arguments = p.scheduler_arguments or {}
        known = [name for name in inspect.signature(kind.__init__).parameters if name not in ("self", "kwargs")]
        if unknown := sorted(set(arguments) - set(known)):
            raise ValueError(f"scheduler_arguments: {kind.__name__} has no {unknown[0]!r}; it has {', '.join(known)}")
        try:
            pipeline.scheduler = kind.from_config(pipeline.scheduler.config, **arguments)
            pipeline.scheduler.set_timesteps(self.settings.steps)
        except _FAILURES as error:
            what = f"{kind.__name__} with {self.settings.steps} steps"
            raise ValueError(f"{p.source}: no {what} for this pipeline ({_first(error)})") from error
        scale = float(getattr(pipeline.scheduler, "init_noise_sigma", 1.0))
        if abs(scale - 1) > 1e-6 and not _reads(type(pipeline), "init_noise_sigma"):
            # it would run, and make noise
            what = f"{kind.__name__} starts from noise {scale:.4g} times as large, which {type(pipeline).__name__}"
            raise ValueError(f"{p.source}: {what} does not give it; take {_SCHEDULERS}")

    def _check_call(self):
        """Check that the pipeline can be called as it is going to be."""
        p, known = self.settings.pipeline, self._parameters
        kind = type(self._pipeline).__name__
        wanted = ["generator", "num_inference_steps", "output_type", p.class_argument or "batch_size"]
        if missing := [name for name in wanted if name not in known]:
            raise ValueError(f"{p.source}: {kind} takes no {missing[0]!r}; it takes {', '.join(known)}")
        arguments = p.arguments or {}
        if wrong := [name for name in arguments if name not in known or name in (*_OURS, p.class_argument)]:
            raise ValueError(f"arguments: {wrong[0]!r} is none that can be set here; {kind} takes {', '.join(known)}")
        given = {*_OURS, *arguments, p.class_argument}
        if left := [n for n, v in known.items() if v.default is v.empty and v.kind != v.VAR_KEYWORD and n not in given]:
            raise ValueError(f"{p.source}: {kind} needs {left[0]!r}; set it as class_argument or in arguments")

    def _labelling(self, path):
        """Return the network that labels the images, or None where the pipeline takes classes."""
        s, p = self.settings, self.settings.pipeline
        if p.class_argument:
            return None
        if p.classifier is None or path is None:
            how = "name one, or a classifier that labels them"
            raise ValueError(f"{p.source}: without class_argument its images have no classes; {how}")
        a = p.classifier
        theirs, ours = (a.image_size, a.channels, a.classes), (s.image_size, s.channels, s.classes)
        if theirs != ours:
            sides = ("{0}x{0} pixels, {1} channels, {2} classes".format(*each) for each in (theirs, ours))
            raise ValueError("{}: a classifier for {}; the study has {}".format(path, *sides))
        return checkpoint.load(path, a, self.where)

    def batch(self, indices):
        """Return images and classes of the given indices, a pure function of the settings and of them.

        Parameters
        ----------
        indices : range
            Positions in the dataset, a whole batch of it.

        Returns
        -------
        images : uint8 array (batch, height, width, channels)
        labels : int64 array (batch,)

        Raises
        ------
        ValueError
            If the pipeline fails or makes numbers that are not finite.
        """
        s, p = self.settings, self.settings.pipeline
        seeds, labels = [latents.seed(index, s) for index in indices], _labels(indices, s)
        arguments = {**(p.arguments or {}), "num_inference_steps": s.steps, "output_type": "np"}
        arguments["generator"] = [torch.Generator().manual_seed(seed) for seed in seeds]
        if "batch_size" in self._parameters:
            arguments["batch_size"] = len(seeds)
        if p.class_argument:
            arguments[p.class_argument] = labels.tolist()
        with torch.random.fork_rng([self.where] if self.where.type == "cuda" else []):
            torch.manual_seed(derive(s.seed, "batch", indices[0]))
            try:
                made = np.asarray(self._pipeline(**arguments).images)
            except _FAILURES as error:
                what = f"{type(self._pipeline).__name__} with {type(self._pipeline.scheduler).__name__}"
                raise ValueError(f"{p.source}: {what} fails ({_first(error)}); try {_SCHEDULERS}") from error
        if not np.isfinite(made).all():
            raise ValueError(f"{p.source}: images {indices[0]} to {indices[-1]} are not finite; try other steps")
        images = to_images(made, s.image_size, s.channels)
        if self._classifier:
            with torch.inference_mode():
                labels = self._classifier(to_network(torch.from_numpy(images), self.where)).argmax(1).cpu().numpy()
        return images, labels


def to_images(made, size, channels):
    """Return float images in [0, 1] of any size as uint8 (batch, size, size, channels); see :class:`Sampler`.

    Parameters
    ----------
    made : float array (batch, height, width, 1 or 3)
    size, channels : int

    Raises
    ------
    ValueError
        If the number of channels cannot be had.
    """
    x = torch.from_numpy(made).float().permute(0, 3, 1, 2)
    side = min(x.shape[2:])
    top, left = ((length - side) // 2 for length in x.shape[2:])
    x = x[:, :, top : top + side, left : left + side]
    if side > size:
        x = F.interpolate(x, (size, size), mode="area")
    elif side < size:
        x = F.interpolate(x, (size, size), mode="bilinear")
    if (x.shape[1], channels) == (3, 1):
        x = (x * torch.tensor(_LUMA).view(1, 3, 1, 1)).sum(1, keepdim=True)
    elif (x.shape[1], channels) == (1, 3):
        x = x.expand(-1, 3, -1, -1)
    elif x.shape[1] != channels:
        raise ValueError(f"the pipeline makes images of {x.shape[1]} channels; the study has {channels}")
    return (x.clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()


def _labels(indices, s):
    """Return the class that each image is asked for, int64 (batch,)."""
    if s.labels == "random":  # from a stream that the image itself does not use
        drawn = [derive(s.seed, "class", index) % s.classes for index in indices]
        return np.array(drawn, dtype=np.int64)
    return np.array([index % s.classes for index in indices], dtype=np.int64)


def _folder(p):
    """Return the folder of a settings.Pipeline, got from the hub if it is none here."""
    if Path(p.source).is_dir():
        return Path(p.source)
    logging.disable_progress_bar()
    try:
        return Path(
            diffusers.DiffusionPipeline.download(
                p.source, revision=p.revision, use_safetensors=True, trust_remote_code=False
            )
        )
    except Exception as error:  # of the network, of the hub's client, of files that it refuses
        raise ValueError(
            f"{p.source}: no folder of that name, and not to be had from the hub ({_first(error)});"
            " get it where there is internet and give the local folder"
        ) from error


def _check(folder):
    """Return the weights in the folder of a pipeline, paths; ValueError if loading it could run foreign code."""
    try:
        index = json.loads((folder / "model_index.json").read_text(encoding="utf-8"))
        kind, parts = index["_class_name"], {name: value for name, value in index.items() if name[0] != "_"}
    except (OSError, ValueError, KeyError, AttributeError):
        raise ValueError(f"{folder}: no readable model_index.json in it, so no saved pipeline") from None
    pipeline_class = getattr(diffusers, kind, None) if isinstance(kind, str) else None
    if not (inspect.isclass(pipeline_class) and issubclass(pipeline_class, diffusers.DiffusionPipeline)):
        raise ValueError(
            f"{folder}: its pipeline {kind!r} is none of diffusers {diffusers.__version__}; no foreign code is run"
        )
    folders = {folder}
    for name, value in parts.items():
        if not (isinstance(value, list) and len(value) == 2 and isinstance(value[0], str)):
            continue  # an argument of the pipeline, or a part that is left out
        if value[0] not in ("diffusers", "transformers") and not hasattr(diffusers.pipelines, value[0]):
            raise ValueError(f"{folder}: its {name} is {value[0]}.{value[1]}, not of diffusers; no foreign code is run")
        folders.add(folder / name)
    weights = []
    for each in sorted(path for path in folders if path.is_dir()):
        safe = sorted(each.glob("*.safetensors"))
        pickled = sorted(path for path in each.iterdir() if path.suffix in _PICKLED)
        if pickled and not safe:
            raise ValueError(
                f"{pickled[0]}: pickled weights could run code and are not read;"
                " save the pipeline again with safe_serialization=True"
            )
        weights += safe
    return weights


def _loaded(folder, p):
    logging.disable_progress_bar()
    try:
        return diffusers.DiffusionPipeline.from_pretrained(
            folder, use_safetensors=True, trust_remote_code=False, local_files_only=True, low_cpu_mem_usage=False
        )
    except (*_FAILURES, OSError, ImportError, KeyError, RuntimeError, SafetensorError) as error:
        raise ValueError(f"{p.source}: diffusers cannot load it ({_first(error)})") from error


def _digest(folder, weights):
    """Return the SHA-256 of the one file of weights, or of the lines `<SHA-256>  <path>` of several."""
    digests = [digest(path) for path in weights]
    if len(digests) == 1:
        return digests[0]
    lines = (f"{each}  {path.relative_to(folder).as_posix()}\n" for each, path in zip(digests, weights, strict=True))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _reads(kind, name):
    """Return whether any method of a class reads the attribute `name` of something."""
    methods = (inspect.unwrap(method) for each in kind.__mro__ for method in vars(each).values() if callable(method))
    return any(name in method.__code__.co_names for method in methods if hasattr(method, "__code__"))


def _first(error):
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]

"""Convert official checkpoints: EDM's pickles, PFGM++'s training states, the pair of discriminator guidance.

Nothing of a file is run; see :mod:`unpickling`. A file names its network by the arguments of its constructor or, as a
bare state dict, by its shapes. Its tensors must be exactly those of that network.

Source: spec/generators.md 6, 10.1, 10.4, 10.5, 10.7 and 13.
"""

import hashlib
import math
from pathlib import Path

import torch

from robustlaws.generators import network_files
from robustlaws.generators.official import edm_networks, torch_files
from robustlaws.generators.official.pickle_machine import Refused, plain
from robustlaws.networks import ddpmpp, discriminator
from robustlaws.runtime.logger import log
from robustlaws.settings import Encoder
from robustlaws.storage.atomic import digest

LICENCE = (
    "the official code and weights of EDM, PFGM++ and discriminator guidance are under CC BY-NC-SA 4.0 "
    "(non-commercial, share-alike); whoever uses them accepts these terms"
)


def import_generator(*, checkpoint_path, config_path, weights_path, settings):
    """Write an official checkpoint of EDM or PFGM++ as a generator of ours.

    Parameters
    ----------
    checkpoint_path : path
        EDM's `network-snapshot-*.pkl` or a published `.pkl`; PFGM++'s `training-state-*.pt`, or its `.pkl`.
    config_path, weights_path : path
        JSON and safetensors to write (:mod:`storage`). `source` of the JSON says where the weights come from.
    settings : settings.GeneratorImport

    Raises
    ------
    ValueError
        One line with the file and what was found, for anything but such a checkpoint; nothing is written then.
    """
    source = _source(checkpoint_path, settings.sha256, settings.generator)
    with torch_files.opened(checkpoint_path) as content:
        wrapper = edm_networks.averaged(content)
        network, wrapping, arguments = edm_networks.arguments(wrapper, settings.kind)
        walked = edm_networks.NetworkContents()
        edm_networks.walk(wrapper, walked)
        module = _on_meta(lambda: ddpmpp.Preconditioned(ddpmpp.build(network), wrapping["sigma_data"]))
        _check_names(walked.tensors, module, "a network of its arguments")
        module.load_state_dict(_loaded(walked.tensors, source["bytes"], network.resample_filter), assign=True)
    about = {"kind": settings.kind}
    if settings.kind == "pfgmpp":
        about["augmented_dimension"] = wrapping["D"]
    source |= {
        "key": "ema",
        "classes": sorted(walked.classes),
        "module_src": [
            {"sha256": hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest(), "length": len(text)}
            for text in walked.sources
        ],
        "arguments": arguments,
    }
    _save(config_path, weights_path, module, about | {"source": source, "licence": LICENCE})
    log.info("%s: %s, %d tensors from %s", settings.generator, settings.kind, len(walked.tensors), checkpoint_path)


def import_pair(
    *,
    extractor_path,
    discriminator_path,
    extractor_config_path,
    extractor_weights_path,
    discriminator_config_path,
    discriminator_weights_path,
    settings,
):
    """Write the official pair of discriminator guidance as networks of ours.

    Parameters
    ----------
    extractor_path, discriminator_path : path
        `32x32_classifier.pt`; `discriminator_250.pt` (conditional), or 60 (unconditional): bare state dicts.
    extractor_config_path, extractor_weights_path, discriminator_config_path, discriminator_weights_path : path
        JSON and safetensors to write (:mod:`storage`).
    settings : settings.EncoderImport

    Raises
    ------
    ValueError
        One line with the file and what was found, for anything but such files, and for two that do not fit one
        another; nothing is written then.
    """
    first, extractor_source = _encoder(extractor_path, settings.sha256_extractor, settings.generator)
    second, discriminator_source = _encoder(discriminator_path, settings.sha256_discriminator, settings.generator)
    a, b = first.settings, second.settings
    if a.label_table or a.outputs == 1:
        raise ValueError(f"{extractor_path}: a discriminator, not the feature extractor; are the two files swapped?")
    if b.outputs != 1:
        raise ValueError(f"{discriminator_path}: has {b.outputs} outputs; a discriminator has 1")
    features = (a.model_channels * a.channel_mult[-1], a.img_resolution >> (len(a.channel_mult) - 1))
    if (b.in_channels, b.img_resolution) != features:
        raise ValueError(
            f"{discriminator_path}: takes {b.in_channels} channels of {b.img_resolution}x{b.img_resolution}; "
            f"the features of {extractor_path} are {features[0]} of {features[1]}x{features[1]}"
        )
    written = (
        ("extractor", extractor_config_path, extractor_weights_path, first, extractor_source),
        ("discriminator", discriminator_config_path, discriminator_weights_path, second, discriminator_source),
    )
    for kind, config_path, weights_path, module, source in written:
        _save(config_path, weights_path, module, {"kind": kind, "source": source, "licence": LICENCE})
        log.info("%s: %s for images of %d", settings.generator, kind, module.settings.img_resolution)


def _source(path, sha256, generator):
    """Return SHA-256 and size of the file at `path`; ValueError if it is not the one meant."""
    if not Path(path).is_file():
        raise ValueError(f"{path}: not a readable file")
    try:
        actual = digest(path)
    except OSError as error:
        raise ValueError(f"{path}: not a readable file ({error.strerror})") from None
    if sha256 not in (None, actual):
        raise ValueError(f"{path}: has the SHA-256 {actual}; {generator} asks for {sha256}")
    return {"sha256": actual, "bytes": Path(path).stat().st_size}


def _save(config_path, weights_path, module, about):
    network_files.save(config_path, weights_path, module, about)
    log.info("%s: SHA-256 %s; %s", weights_path, about["source"]["sha256"], LICENCE)


def _on_meta(build):
    """Return `build()`, made without memory, time and random numbers for its weights."""
    try:
        with torch.device("meta"):
            return build()
    except ValueError as error:
        raise Refused(f"of no network known here ({str(error).splitlines()[0]})") from None


def _check_names(tensors, module, what):
    """Raise Refused unless `tensors` (of torch_files.Tensor) have exactly the names, shapes and types of `module`."""
    wanted = module.state_dict()
    for name, expected in wanted.items():
        if name not in tensors:
            raise Refused(f"{name} is missing; {what} has it")
        given, dtype = tensors[name], str(expected.dtype).removeprefix("torch.")
        if given.shape != tuple(expected.shape):
            raise Refused(f"{name} has the shape {plain(given.shape)}; {what} has {plain(tuple(expected.shape))}")
        if given.dtype != dtype:
            raise Refused(f"{name} is of {given.dtype}; {what} has {dtype}")
    for name in tensors:
        if name not in wanted:
            raise Refused(f"{plain(name)} is no part of {what}")


def _loaded(tensors, size, taps=None):
    """Return `tensors` as tensors of torch: finite, and with filters of `taps`; the file has `size` bytes."""
    if sum(4 * math.prod(tensor.shape) for tensor in tensors.values()) > size:
        raise Refused("its tensors would be larger than the file itself")
    loaded = {name: tensor.load() for name, tensor in tensors.items()}
    for name, tensor in loaded.items():
        if not torch.isfinite(tensor).all():
            raise Refused(f"{name} holds numbers that are not finite")
        if name.endswith(".resample_filter") and not torch.equal(tensor, ddpmpp.resample_filter(taps)):
            raise Refused(f"{name} is not the filter {plain(taps)} of its arguments")
    return loaded


def _encoder(path, sha256, generator):
    """Return (EncoderUnet with the weights of the bare state dict at `path`, where they come from)."""
    source = _source(path, sha256, generator)
    with torch_files.opened(path) as content:
        tensors = _bare(content)
        settings = encoder_of({name: tensor.shape for name, tensor in tensors.items()})
        module = _on_meta(lambda: discriminator.build(settings))
        _check_names(tensors, module, f"an encoder of width {settings.model_channels} and depth {settings.depth}")
        module.load_state_dict(_loaded(tensors, source["bytes"]), assign=True)
    return module, source


def _bare(content):
    if type(content) is not dict:
        raise Refused(f"holds {plain(content)}, not a dict of tensors")
    for name, tensor in content.items():
        if not isinstance(name, str) or not isinstance(tensor, torch_files.Tensor):
            raise Refused(f"{plain(name)} is {plain(tensor)}, not a tensor, so it is no bare state dict")
    return content


def encoder_of(shapes):
    """Return the settings.Encoder that a bare state dict with these shapes can only belong to.

    Parameters
    ----------
    shapes : dict of str to tuple
        Of its tensors, under the official keys.

    Raises
    ------
    Refused
        If there is none, or more than one.
    """
    channels_in = _axes(shapes, "input_blocks.0.0.weight", 4)[1]
    width = _axes(shapes, "time_embed.0.weight", 2)[1]
    side = math.isqrt(max(0, _axes(shapes, "out.2.positional_embedding", 2)[1] - 1))
    outputs = _axes(shapes, "out.2.c_proj.weight", 3)[0]
    table = _axes(shapes, "label_emb.weight", 2)[0] if "label_emb.weight" in shapes else 0
    blocks = []  # channels, whether there is attention
    while (name := f"input_blocks.{len(blocks) + 1}.0.out_layers.3.weight") in shapes:
        attention = f"input_blocks.{len(blocks) + 1}.1.qkv.weight" in shapes
        blocks.append((_axes(shapes, name, 4)[0], attention))
    fitting = [levels for depth in range(1, len(blocks) + 1) if (levels := _levels(blocks, depth, width))]
    if len(fitting) != 1:
        count = "no" if not fitting else "more than one"
        raise Refused(f"its {len(blocks)} input_blocks are those of {count} encoder of discriminator guidance")
    depth, factors, attention = fitting[0]
    return Encoder(
        img_resolution=side << (len(factors) - 1),
        in_channels=channels_in,
        model_channels=width,
        channel_mult=factors,
        depth=depth,
        attention=attention,
        outputs=outputs,
        label_table=table,
    )


def _axes(shapes, name, axes):
    shape = shapes.get(name)
    if shape is None:
        names = ", ".join(map(plain, list(shapes)[:3])) or "nothing"
        raise Refused(f"{name} is missing, so no encoder of discriminator guidance; it holds {names}")
    if len(shape) != axes or not all(shape):
        raise Refused(f"{name} has the shape {plain(shape)}, so no encoder of discriminator guidance")
    return shape


def _levels(blocks, depth, width):
    """Return (depth, factors of the channels, downsampling factors with attention), or None if `blocks` differ.

    A level has `depth` blocks and, except for the last, one more that halves the image, which has no attention.
    """
    levels = [blocks[start : start + depth + 1] for start in range(0, len(blocks), depth + 1)]
    if len(levels[-1]) != depth or len(levels) > 10:
        return None
    factors, attention = [], []
    for index, level in enumerate(levels):
        channels = {channels for channels, _ in level}
        attended = {attended for _, attended in level[:depth]}
        if len(channels) > 1 or len(attended) > 1 or any(attended for _, attended in level[depth:]):
            return None
        factors.append(channels.pop() // width)
        if attended.pop():
            attention.append(2**index)
    return depth, tuple(factors), tuple(attention)

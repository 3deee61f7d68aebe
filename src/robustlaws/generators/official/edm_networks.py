"""Constructor arguments and tensors of the network in an official pickle.

The objects come from :mod:`unpickling` as inert records. Everything that a file says twice must agree.

Source: spec/generators.md 5, 6, 10.1 and 10.5.
"""

import math
from dataclasses import dataclass, field, fields

from robustlaws.generators.official import torch_files
from robustlaws.generators.official.pickle_machine import Refused, plain
from robustlaws.settings import Network

WRAPPER, NETWORK, VERSION = "EDMPrecond", "SongUNet", 6
MODULES, DEPTH = 10_000, 16  # of a network: far more than the official ones

# The network's arguments that a file may leave out (spec/generators.md 5).
DEFAULTS = {
    "label_dim": 0,
    "augment_dim": 0,
    "model_channels": 128,
    "channel_mult": (1, 2, 2, 2),
    "channel_mult_emb": 4,
    "num_blocks": 4,
    "attn_resolutions": (16,),
    "dropout": 0.10,
    "label_dropout": 0.0,
    "embedding_type": "positional",
    "channel_mult_noise": 1,
    "encoder_type": "standard",
    "decoder_type": "standard",
    "resample_filter": (1, 1),
}
# The wrapper's. `use_fp16` decides nothing: networks are run in float32 here, and weights of float16 are refused.
WRAPPER_DEFAULTS = {"use_fp16": False, "sigma_min": 0, "sigma_max": math.inf, "sigma_data": 0.5, "pfgmpp": False}
# So that a damaged number cannot keep the machine busy; the official ones are far from these.
LARGEST = {
    "img_resolution": 4096,
    "in_channels": 4096,
    "label_dim": 1_000_000,
    "augment_dim": 4096,
    "model_channels": 4096,
    "channel_mult": 64,
    "channel_mult_emb": 64,
    "num_blocks": 64,
    "attn_resolutions": 4096,
    "dropout": 1,
    "label_dropout": 1,
    "channel_mult_noise": 64,
    "resample_filter": 64,
}


@dataclass
class NetworkContents:
    """The contents of a network in a file."""

    tensors: dict = field(default_factory=dict)  # of unpickling.Tensor, under the official keys
    classes: set = field(default_factory=set)
    sources: dict = field(default_factory=dict)  # texts of modules that are never run, in order
    modules: int = 0


def averaged(content):
    """Return the record of the network under `ema` of a checkpoint; Refused if there is none."""
    if type(content) is not dict:
        raise Refused(f"holds {plain(content)}; a checkpoint is a dict with a network under ema")
    if "ema" in content:
        return content["ema"]
    if "net" in content:
        raise Refused(
            "a training state with net but no ema: not the averaged weights that images are made with; "
            "take the network-snapshot-*.pkl of that training"
        )
    raise Refused(f"no network under ema; it holds {', '.join(map(plain, list(content)[:5])) or 'nothing'}")


def _state(record, name, class_name=None):
    """Return the attributes of the object `record`, which the file calls `name`, and its class and source text."""
    if not isinstance(record, torch_files.Record) or type(record.content) is not dict:
        raise Refused(f"{name} is {plain(record)}, not a network")
    if record.name == torch_files.MODULE_DICT and class_name is None:
        return record.content, None, None
    content = record.content
    for key, wanted in (("type", "class"), ("version", VERSION), ("class_name", class_name)):
        given = content.get(key)
        if wanted is not None and (type(given) is not type(wanted) or given != wanted):
            raise Refused(f"{name} has the {key} {plain(given)}; known: {wanted}")
    source, state = content.get("module_src"), content.get("state")
    if not isinstance(content.get("class_name"), str) or not isinstance(source, str) or type(state) is not dict:
        raise Refused(f"{name} has no class_name, module_src or state, so no object of such a checkpoint")
    return state, content["class_name"], source


def _group(state, name, where):
    group = state.get(name)
    group = {} if group is None else group
    if type(group) is not dict or not all(isinstance(key, str) for key in group):
        raise Refused(f"{plain(where)}{name} is {plain(group)}, not a dict under names")
    return group


def walk(record, walked, prefix="", depth=DEPTH):
    """Add the tensors of the module `record`, whose names begin with `prefix`, and what it is made of to `walked`.

    Raises
    ------
    Refused
        If it, or a module in it, is none of such a checkpoint, or `depth` are not deep enough.
    """
    walked.modules += 1
    if depth == 0 or walked.modules > MODULES or len(walked.tensors) > MODULES:
        raise Refused("a network of too many modules, or of too many in one another; no such checkpoint has them")
    state, class_name, source = _state(record, plain(prefix.rstrip(".") or "ema"))
    if class_name is not None:
        walked.classes.add(class_name)
        walked.sources[source] = None
    hidden = state.get("_non_persistent_buffers_set") or set()
    if type(hidden) is not set:
        raise Refused(f"{plain(prefix)}_non_persistent_buffers_set is {plain(hidden)}, not a set")
    for group in ("_parameters", "_buffers"):
        for name, tensor in _group(state, group, prefix).items():
            if tensor is None or name in hidden:
                continue
            if not isinstance(tensor, torch_files.Tensor):
                raise Refused(f"{plain(prefix + name)} is {plain(tensor)}, not a tensor")
            walked.tensors[prefix + name] = tensor
    for name, child in _group(state, "_modules", prefix).items():
        if child is not None:
            walk(child, walked, f"{prefix}{name}.", depth - 1)


def arguments(record, kind):
    """Return the arguments that the network `record` was made with.

    Returns
    -------
    network : settings.Network
    wrapping : dict
        Of the wrapper around it, `sigma_data` and, for pfgmpp, `D` among them.
    given : dict
        As the file has them, as JSON values.

    Raises
    ------
    Refused
        If these are unknown, contradict one another, or are of no network of `kind` (edm or pfgmpp).
    """
    state = _state(record, "ema", WRAPPER)[0]
    given = _given(state, "ema")
    if "model_type" not in given:
        raise Refused("its arguments have no model_type; such files then mean another network than the one known here")
    if given["model_type"] != NETWORK:
        raise Refused(f"its model_type is {plain(given['model_type'])}; known: {NETWORK}")
    wrapping = WRAPPER_DEFAULTS | given
    own = {"model_type", "img_resolution", "img_channels", "D", *WRAPPER_DEFAULTS}
    for name in given:
        if name not in own and name not in DEFAULTS:
            raise Refused(f"its argument {plain(name)} ({plain(given[name])}) is unknown")
    for name in ("img_resolution", "img_channels"):
        if name not in given:
            raise Refused(f"its arguments have no {name}")
    _check_wrapping(wrapping, kind)
    values = {name: given.get(name, default) for name, default in DEFAULTS.items()}
    channels = given["img_channels"]
    values |= {"img_resolution": given["img_resolution"], "in_channels": channels, "out_channels": channels}
    network = _network(values)
    _check_repeated(state, wrapping | {"label_dim": network.label_dim}, "its attributes")
    inner = _group(state, "_modules", "ema.").get("model")
    inner_state = _state(inner, "model", NETWORK)[0]
    attributes = {entry.name: getattr(network, entry.name) for entry in fields(network)}
    for name, value in _given(inner_state, "model").items():
        if name not in attributes:
            raise Refused(f"the argument {plain(name)} ({plain(value)}) of its model is unknown")
    _check_repeated(_given(inner_state, "model"), attributes, "those of its model")
    _check_repeated(inner_state, attributes, "the attributes of its model")
    # JSON has no word for infinity; sigma_max is that
    return network, wrapping, {name: "inf" if value == math.inf else value for name, value in given.items()}


def _given(state, where):
    """Return the arguments that an object was made with; lists become tuples."""
    positional, given = state.get("_init_args"), state.get("_init_kwargs")
    if positional not in (None, (), []):
        raise Refused(f"{where} was made with arguments without names, which are unknown")
    if type(given) is not dict:
        raise Refused(f"{where} has no dict _init_kwargs, so its arguments are not known")
    named = {}
    for name, value in given.items():
        value = tuple(value) if type(value) is list else value
        items = value if type(value) is tuple else (value,)
        known = value == math.inf or (len(items) <= 64 and all(_is_plain(item) for item in items))
        if not isinstance(name, str) or not known:
            raise Refused(f"the argument {plain(name)} of {where} is {plain(value)}, no plain value")
        named[name] = value
    return named


def _is_plain(item):
    """Return whether JSON has a word for `item`."""
    if isinstance(item, float):
        return math.isfinite(item)
    return item is None or isinstance(item, (bool, str)) or (isinstance(item, int) and abs(item) < 1 << 64)


def _check_wrapping(wrapping, kind):
    """Raise Refused if the arguments of the wrapper are of none that the samplers here know, or not of `kind`."""
    for name in ("use_fp16", "pfgmpp"):
        if wrapping[name] not in (False, True):
            raise Refused(f"its argument {name} is {plain(wrapping[name])}, neither True nor False")
    for name in ("sigma_min", "sigma_max"):
        if wrapping[name] != WRAPPER_DEFAULTS[name]:
            raise Refused(f"its argument {name} is {plain(wrapping[name])}; known: {WRAPPER_DEFAULTS[name]}")
    sigma_data, dimension = wrapping["sigma_data"], wrapping.get("D")
    if type(sigma_data) not in (int, float) or not 0 < sigma_data < math.inf:
        raise Refused(f"its argument sigma_data is {plain(sigma_data)}, no positive number")
    if kind == "edm" and wrapping["pfgmpp"]:
        raise Refused(f"a network of PFGM++ (D {plain(dimension)}), but asked for as edm; its kind is pfgmpp")
    if kind == "pfgmpp" and not (wrapping["pfgmpp"] and "D" in wrapping):
        lack = "no D" if "D" not in wrapping else "pfgmpp off"
        raise Refused(f"asked for as pfgmpp, but its arguments have {lack}; if it is a network of EDM, its kind is edm")
    if kind == "pfgmpp" and not (type(dimension) is int and 0 < dimension < 1 << 40):
        raise Refused(f"its argument D is {plain(dimension)}, no number of dimensions")


def _network(values):
    """Return the settings.Network of the arguments `values`."""
    for name, largest in LARGEST.items():
        items = values[name] if type(values[name]) is tuple else (values[name],)
        if len(items) > 16 or any(type(item) in (int, float) and not 0 <= item <= largest for item in items):
            raise Refused(f"its argument {name} is {plain(values[name])}; known: 0 to {largest}")
    try:
        return Network(**values)
    except ValueError as error:
        raise Refused(f"its arguments are of no network known here ({str(error)[:160]})") from None


def _check_repeated(given, wanted, where):
    """Raise Refused if one of the values `given` (of the file) has the name of a `wanted` one and is another."""
    for name, value in wanted.items():
        other = given.get(name, value)
        other = tuple(other) if type(other) is list else other
        if other != value:
            raise Refused(f"its {name} is {plain(value)} in the arguments of ema and {plain(other)} in {where}")

"""Shared parts of all settings: types, params, and the settings of several stages."""

from dataclasses import dataclass, field, fields
from functools import cache
from typing import Annotated, Any, get_args, get_origin, get_type_hints


def neutral(value: Any) -> Any:
    """Return a field for a later, optional setting: left out of the params while it is `value`."""
    return field(default=value, metadata={"neutral": value})


REQUIRED: Any = object()  # no value stands in for a key of the config


class Key:
    """A key of the config: stands in `Annotated[type, Key(...)]` of a setting. Its schema is generated from it.

    Parameters
    ----------
    description : str
        Of the key, for the schema and for errors.
    absent : object, optional
        The value that :func:`given` takes where the config has no such key, of a setting without a default.
    required : bool, optional
        Whether the config must give the key; if not said, where there is neither a default nor `absent`.
    **rules
        JSON Schema: `minimum`, `enum`, ... The type is that of the setting, unless `oneOf` or `enum` stands here;
        `ref` names a definition of the schema.
    """

    def __init__(self, description: str, absent: Any = REQUIRED, required: bool | None = None, **rules: Any) -> None:
        self.description, self.absent, self.required, self.rules = description, absent, required, rules


@cache
def _hints(cls: Any) -> dict[str, Any]:
    return get_type_hints(cls, include_extras=True)


def keys(cls: type["Settings"]) -> dict[str, Key]:
    """Return {name: :class:`Key`} of the settings of `cls` that the config gives."""
    hashable: Any = cls
    of_hints = {name: getattr(hint, "__metadata__", ()) for name, hint in _hints(hashable).items()}
    return {name: extra[0] for name, extra in of_hints.items() if extra}


def given(cls: type["Settings"], block: dict[str, Any]) -> dict[str, Any]:
    """Return {name: value} of the settings of `cls` that keys of the config give, as `block` has them."""
    values = {name: block.get(name, own.absent) for name, own in keys(cls).items()}
    return {name: value for name, value in values.items() if value is not REQUIRED}


def as_params(settings: "Settings") -> dict[str, Any]:
    """Return the dict of `settings` that decides whether an output is stale.

    Nested settings become dicts, tuples stay tuples, neutral settings are left out.
    """
    params = {}
    for entry in fields(settings):
        value = getattr(settings, entry.name)
        if "neutral" in entry.metadata and value == entry.metadata["neutral"]:
            continue
        params[entry.name] = as_params(value) if isinstance(value, Settings) else value
    return params


@cache
def _declared(cls):
    """Return (name, type) of each setting of a class: looking them up costs more than all the rest of an instance."""
    hints = get_type_hints(cls)
    return tuple((entry.name, hints[entry.name]) for entry in fields(cls))


def _coerced(value, kind, where):
    if type(value) is kind:  # most are, and a study of thousands of runs makes millions of them
        return value
    if get_origin(kind) is tuple:
        if not isinstance(value, (list, tuple)):
            raise ValueError(f"{where}: {value!r} is not a list")
        return tuple(_coerced(item, get_args(kind)[0], where) for item in value)
    options = get_args(kind) or (kind,)
    if value is None and type(None) in options:
        return None
    kind = next(option for option in options if option is not type(None))
    if isinstance(kind, type) and issubclass(kind, Settings):
        value = kind(**value) if isinstance(value, dict) else value
    if kind is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    if kind is int and isinstance(value, float) and value.is_integer():
        return int(value)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise ValueError(f"{where}: {value!r} is not {kind.__name__}")
    return value


@dataclass(frozen=True)
class Settings:
    """Base of all settings: brings every value to the declared type.

    Raises
    ------
    ValueError
        If a value cannot be meant as the declared type.
    """

    def __post_init__(self):
        for name, kind in _declared(type(self)):
            given = getattr(self, name)
            converted = _coerced(given, kind, f"{type(self).__name__}.{name}")
            if converted is not given:
                object.__setattr__(self, name, converted)


@dataclass(frozen=True)
class Threat(Settings):
    """The threat model: norm and radius, pixels in [0, 1]."""

    norm: Annotated[str, Key("Norm of the perturbation.", enum=["Linf"])]
    epsilon: Annotated[
        float, Key("Linf radius, pixels scaled to [0, 1]; 8/255 is 0.03137254901960784.", exclusiveMinimum=0, maximum=1)
    ]


@dataclass(frozen=True)
class Architecture(Settings):
    """A WideResNet and its input normalisation (per channel, pixels in [0, 1])."""

    depth: int
    width: int
    classes: int
    channels: int
    image_size: int
    mean: tuple[float, ...]  # () with std () for none
    std: tuple[float, ...]


GRACE = 300.0  # seconds before the end of a job that are kept for saving its state, at most


@dataclass(frozen=True)
class Compute(Settings):
    """Compute resources of a job. They decide no number beyond rounding, so they make nothing stale."""

    gpus: Annotated[
        int,
        Key(
            "GPUs on each node of a job that trains (one of them of a job that samples or attacks); 0 for the CPU. "
            "What jobs ask of a cluster follows from this, nodes and processes.",
            required=True,
            minimum=0,
        ),
    ] = 0
    threads: int = 1
    state_minutes: Annotated[
        float, Key("Minutes between two saved states of a run.", required=True, exclusiveMinimum=0)
    ] = 10.0
    budget_minutes: Annotated[
        float | None,
        Key(
            "Minutes after which a job that trains, samples, stages files or runs AutoAttack saves its state and "
            "stops; started again, it goes on. Such a job asks a cluster for 10 minutes more at most, and stops by "
            "itself before a time limit of SLURM too.",
            exclusiveMinimum=0,
        ),
    ] = None
    ends: float | None = None  # when the batch system will end the job (seconds since the epoch)
    processes: Annotated[
        int | None, Key("Processes on each node that share one run on CPUs; one if left out.", minimum=1)
    ] = None
    nodes: Annotated[int, Key("Nodes that share one run.", minimum=1)] = 1
    node_command: Annotated[
        tuple[str, ...],
        Key(
            "What starts the command after it once on every node; SLURM's srun if left out, so another batch system "
            "needs it."
        ),
    ] = ()
    compile: Annotated[
        bool, Key("torch.compile of the network in training, with one process; on a CPU it does not pay.")
    ] = False

    @classmethod
    def of_one(cls, config: dict[str, Any], threads: int, gpus: int, ends: float | None) -> "Compute":
        """Return the resources of a job of one process: the study's `compute`, but `gpus` (0 or 1)."""
        alone = {"gpus": gpus, "processes": None, "nodes": 1}
        return cls(**config | alone, threads=threads, ends=ends)

    def deadline(self, now: float) -> float | None:
        """Return the time at which a job that begins at `now` has to stop, or None; in seconds since the epoch.

        A batch system ends a job without notice to this process. So the job stops itself a tenth of its time before the
        limit, at most five minutes: enough to write several GB to a shared disk.
        """
        times = [now + 60 * self.budget_minutes] if self.budget_minutes else []
        if self.ends is not None:
            times.append(self.ends - min(GRACE, (self.ends - now) / 10))
        return min(times, default=None)

    @property
    def ranks(self) -> int:
        """Processes that share one run."""
        return self.nodes * self.processes_per_node

    @property
    def processes_per_node(self) -> int:
        """Processes on each node."""
        return self.processes or max(1, self.gpus)

"""Settings of each stage: frozen dataclasses with a fixed order and fixed types.

A rule hands its job ONE dict, made by :func:`as_params`, and Snakemake reruns the job when the text of that dict
changes. So keys have the order of the class, a float stays a float in any YAML spelling, and a neutral setting is left
out. Neither 5 for 5.0, nor reordered YAML, nor a later optional setting makes a finished output stale.

No torch here: the Snakefile imports this package.
"""

from robustlaws.settings.attack import (
    AUTOATTACK,
    AUTOATTACK_CLASSES,
    Attack,
    AutoAttack,
    Checkpoint,
    Export,
    PgdCw,
)
from robustlaws.settings.base import (
    GRACE,
    Architecture,
    Compute,
    Key,
    Settings,
    Threat,
    as_params,
    given,
    keys,
    neutral,
)
from robustlaws.settings.collect import Collect, CollectAttacks, Crate, LawFit, Limits
from robustlaws.settings.generate import (
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
)
from robustlaws.settings.humans import (
    Answers,
    Asking,
    InnerAttack,
    Judging,
    Presentation,
    Quiz,
    Simulation,
    Stimuli,
    VisionModel,
)
from robustlaws.settings.plan import Plan
from robustlaws.settings.train import Curve, Training

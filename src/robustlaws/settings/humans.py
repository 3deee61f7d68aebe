"""Settings of the human study."""

from dataclasses import dataclass
from typing import Annotated

from robustlaws.settings.base import Architecture, Key, Settings, Threat, neutral


@dataclass(frozen=True)
class InnerAttack(Settings):
    """Stage humans: the attack of the training, on finished weights."""

    run: str  # or checkpoint
    architecture: Architecture
    threat: Threat
    seed: int
    steps: int
    step_size: float
    objective: str  # kl or cross_entropy
    images: int | None  # the first of the split; None: all
    batch: int


@dataclass(frozen=True)
class Stimuli(Settings):
    """Stage humans: which images are shown, in which batches and order."""

    run: str  # or checkpoint whose record it is
    split: str  # test or train
    batch_images: Annotated[int, Key("Images of a batch; 100 if left out, as in the paper.", absent=100, minimum=1)]
    seed: int
    images: Annotated[
        int | None, Key("Fooling images to show at most, drawn at random; all if left out.", minimum=1)
    ] = neutral(None)
    attention_checks: Annotated[
        int,
        Key(
            "Images that nothing fooled, added to each batch; answers to them count nowhere. None if left out.",
            minimum=0,
        ),
    ] = neutral(0)


@dataclass(frozen=True)
class Presentation(Settings):
    """Stage humans: what the web application shows beside the images."""

    study: str  # its name
    page: Annotated[
        str,
        Key(
            "single: one image at a time (if left out); batch: one page for each batch.",
            absent="single",
            enum=["single", "batch"],
        ),
    ]
    smooth: Annotated[
        bool, Key("Smooth images where they are enlarged, on pages and for models; false if left out.", absent=False)
    ]
    enlarged: Annotated[
        int,
        Key(
            "Pixels along an image as it is shown, to people and to models; 320 if left out.",
            absent=320,
            minimum=16,
            maximum=2048,
        ),
    ]
    contact: Annotated[str, Key("Whom participants may ask, such as an address; not said if left out.", absent="")]
    image_seconds: Annotated[
        float | None,
        Key("Seconds after which an image is hidden; never if left out. Only with page: single.", exclusiveMinimum=0),
    ] = neutral(None)
    answer_seconds: Annotated[
        float | None,
        Key(
            "Seconds after which no answer is taken and the next image comes; never if left out. "
            "Only with page: single.",
            exclusiveMinimum=0,
        ),
    ] = neutral(None)


@dataclass(frozen=True)
class Simulation(Settings):
    """Stage humans: participants made up from a model of how people answer."""

    participants: Annotated[int, Key("How many.", minimum=1, maximum=1000)]
    clean_accuracy: Annotated[
        float, Key("Expected share right of the clean images.", exclusiveMinimum=0, exclusiveMaximum=1)
    ]
    adversarial_accuracy: Annotated[
        float, Key("Expected share right of the adversarial images.", exclusiveMinimum=0, exclusiveMaximum=1)
    ]
    follow: Annotated[
        float,
        Key(
            "Share of the wrong answers to adversarial images that are the network's class; 0.5 if left out.",
            absent=0.5,
            minimum=0,
            maximum=1,
        ),
    ]
    seed: int


@dataclass(frozen=True)
class VisionModel(Settings):
    """Stage humans: a model that sees images, as a participant."""

    name: str
    model: Annotated[str, Key("Name of the model at its endpoint.")]
    address: Annotated[
        str | None,
        Key(
            "Of an endpoint that speaks OpenAI's protocol, such as http://localhost:8000/v1; OpenAI's own if left out.",
            absent=None,
        ),
    ]
    variants: Annotated[
        tuple[str, ...],
        Key(
            "Variants that are asked about; adversarial alone if left out, as in the paper.",
            absent=("adversarial",),
            minItems=1,
            uniqueItems=True,
            items={"enum": ["adversarial", "clean"]},
        ),
    ]
    images: Annotated[
        int | None,
        Key("Images of each variant, the first in the order of the study; all if left out.", absent=None, minimum=1),
    ]
    enlarged: int  # pixels along an image that is sent
    smooth: bool
    parameters: Annotated[
        dict,
        Key(
            "Of the request, as they are, such as max_completion_tokens; temperature is 0 if left out, and not sent "
            "if null, for models that refuse it.",
            absent={"temperature": 0},
        ),
    ]
    replay: bool = neutral(False)  # recorded replies only; nothing is asked


@dataclass(frozen=True)
class Asking(Settings):
    """Request settings of a vision model. Decides no answer, so it makes nothing stale."""

    key: Annotated[
        str,
        Key("Environment variable that holds the key; OPENAI_API_KEY if left out.", pattern="^[A-Za-z_][A-Za-z0-9_]*$"),
    ] = "OPENAI_API_KEY"
    concurrency: Annotated[int, Key("Requests at a time; 4 if left out.", minimum=1)] = 4
    attempts: Annotated[
        int, Key("Attempts at a request that fails for a reason that may pass; 8 if left out.", minimum=1)
    ] = 8
    timeout: Annotated[float, Key("Seconds of an attempt; 120 if left out.", exclusiveMinimum=0)] = 120.0
    price: Annotated[dict | None, Key("US dollars for a million tokens; needed for cost_limit.", ref="price")] = None
    cost_limit: Annotated[
        float | None,
        Key(
            "US dollars that the requests may cost for each bundle of images, all runs together; no limit if left "
            "out. Surely kept only where parameters limit the tokens of a reply.",
            exclusiveMinimum=0,
        ),
    ] = None


@dataclass(frozen=True)
class Answers(Settings):
    """Stage humans: whose answers are gathered."""

    split: str
    simulated: bool  # only those of a simulation, or none of them


@dataclass(frozen=True)
class Judging(Settings):
    """Stage humans: when an image is valid, and how the intervals are found."""

    votes: Annotated[
        int,
        Key(
            "Participants, people and models, who are right; the paper and this if left out: 2 (of 4).",
            absent=2,
            minimum=1,
        ),
    ]
    confident: Annotated[
        int,
        Key(
            "People right with high confidence, which is enough as well; the paper and this if left out: 1.",
            absent=1,
            minimum=1,
        ),
    ]
    level: Annotated[
        float,
        Key("Coverage of the intervals; 0.95 if left out.", absent=0.95, exclusiveMinimum=0.5, exclusiveMaximum=1),
    ]
    resamples: Annotated[
        int, Key("Bootstrap resamples behind the intervals; 2000 if left out.", absent=2000, minimum=100)
    ]
    seed: int


@dataclass(frozen=True)
class Quiz(Settings):
    """Stage humans: the page on which visitors try the images themselves."""

    study: str
    images: int
    smooth: bool
    seed: int

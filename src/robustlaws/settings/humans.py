"""Settings of the human study."""

from dataclasses import dataclass
from typing import Any

from robustlaws.settings.base import Architecture, Settings, Threat, neutral


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
    batch_images: int
    seed: int
    images: int | None = neutral(None)  # at most, drawn at random; None: all that fooled the network
    attention_checks: int = neutral(0)  # more images of each batch, which nothing fooled


@dataclass(frozen=True)
class Presentation(Settings):
    """Stage humans: what the web application shows beside the images."""

    study: str  # its name
    page: str  # single: one image at a time; batch: a page for each batch
    smooth: bool  # whether images are smoothed where they are enlarged
    enlarged: int  # pixels of the screen along an image
    contact: str  # whom participants may ask; "": not said
    image_seconds: float | None = neutral(None)  # after which an image is hidden
    answer_seconds: float | None = neutral(None)  # after which no answer is taken, and the next image comes


@dataclass(frozen=True)
class Simulation(Settings):
    """Stage humans: participants made up from a model of how people answer."""

    participants: int
    clean_accuracy: float  # expected share right of the clean images
    adversarial_accuracy: float  # of the adversarial ones
    follow: float  # share of the wrong answers to adversarial images that are the network's class
    seed: int


@dataclass(frozen=True)
class VisionModel(Settings):
    """Stage humans: a model that sees images, as a participant."""

    name: str
    model: str  # as its endpoint calls it
    address: str | None  # of the endpoint; None: OpenAI's
    variants: tuple[str, ...]
    images: int | None  # of each variant, the first in the order of the stimuli; None: all
    enlarged: int  # pixels along an image that is sent
    smooth: bool
    parameters: dict  # of the request, such as temperature
    replay: bool = neutral(False)  # recorded replies only; nothing is asked


@dataclass(frozen=True)
class Asking(Settings):
    """How a vision model is asked. Decides no answer, so it makes nothing stale."""

    key: str = "OPENAI_API_KEY"  # environment variable that holds the key of the endpoint
    concurrency: int = 4  # requests at a time
    attempts: int = 8  # of a request that failed for a reason that may pass
    timeout: float = 120.0  # seconds of an attempt
    price: dict | None = None  # input, output: US dollars for a million tokens
    cost_limit: float | None = None  # US dollars, over all runs of the job

    @classmethod
    def of(cls, config: dict[str, Any]) -> "Asking":
        """Return what the config says of it in the block of one model."""
        return cls(**{name: value for name, value in config.items() if name in cls.__dataclass_fields__})


@dataclass(frozen=True)
class Answers(Settings):
    """Stage humans: whose answers are gathered."""

    split: str
    simulated: bool  # only those of a simulation, or none of them


@dataclass(frozen=True)
class Judging(Settings):
    """Stage humans: when an image is valid, and how the intervals are found."""

    votes: int  # participants who are right: then an image is valid
    confident: int  # or people who are right with high confidence
    level: float
    resamples: int
    seed: int


@dataclass(frozen=True)
class Quiz(Settings):
    """Stage humans: the page on which visitors try the images themselves."""

    study: str
    images: int
    smooth: bool
    seed: int

"""What class and confidence the end of a reply is read as."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from robustlaws.humans.vision_models.parse_reply import parse

CIFAR = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
DIGITS = [str(digit) for digit in range(10)]
CARS = ["car", "racing car", "sports car wheel", "wheel"]
CLOTHES = ["T-shirt/top", "Shirt", "Ankle boot", "C++"]


@pytest.mark.parametrize(
    ("text", "names", "expected"),
    [
        ("I see whiskers and pointed ears.\ncat, high", CIFAR, ("cat", "high")),
        ("cat,low", CIFAR, ("cat", "low")),
        ("It has four legs. Dog, High.", CIFAR, ("dog", "high")),
        ("**frog**, *low*", CIFAR, ("frog", "low")),
        ("`horse, higher`\n", CIFAR, ("horse", "high")),
        ("“ship”, “lower”.", CIFAR, ("ship", "low")),
        ("[truck], [high]", CIFAR, ("truck", "high")),
        ("{bird}, {low}", CIFAR, ("bird", "low")),
        ("\\boxed{deer, high}", CIFAR, ("deer", "high")),
        ('{"class": "cat", "confidence": "high"}', CIFAR, ("cat", "high")),
        ("Class: cat\nConfidence: high", CIFAR, ("cat", "high")),
        ("airplane,\nlow", CIFAR, ("airplane", "low")),
        ("airplane - low", CIFAR, ("airplane", "low")),
        ("It might be a dog or a cat.\nbird, low", CIFAR, ("bird", "low")),
        ("<think>cat, high? No: dog</think>\ndog, low", CIFAR, ("dog", "low")),
        ("\uff23\uff21\uff34\uff0c\uff4c\uff4f\uff57", CIFAR, ("cat", "low")),
        ("7, high", DIGITS, ("7", "high")),
        ("The class is **3**, low.", DIGITS, ("3", "low")),
        ("car, low", CARS, ("car", "low")),
        ("racing car, high", CARS, ("racing car", "high")),
        ("Racing  Car, high", CARS, ("racing car", "high")),
        ("racing_car, high", CARS, ("racing car", "high")),
        ("sports car wheel, low", CARS, ("sports car wheel", "low")),
        ("t-shirt/top, high", CLOTHES, ("T-shirt/top", "high")),
        ("shirt, high", CLOTHES, ("Shirt", "high")),
        ("c++, high", CLOTHES, ("C++", "high")),
    ],
)
def test_a_class_and_a_confidence_at_the_end_are_read(text, names, expected):
    index, confidence = parse(text, names)
    assert (names[index], confidence) == expected


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", CIFAR),
        ("cat", CIFAR),
        ("high", CIFAR),
        ("I cannot tell.", CIFAR),
        ("class, confidence", CIFAR),
        ("cat, medium", CIFAR),
        ("cat, very high", CIFAR),
        ("cat, low or high", CIFAR),
        ("cat, low, high", CIFAR),
        ("low, cat, high", CIFAR),
        ("cat, high and that is all", CIFAR),
        ("high, cat", CIFAR),
        ("kitten, high", CIFAR),
        ("wildcat, high", CIFAR),
        ("cats, high", CIFAR),
        ("cat or dog, low", CIFAR),
        ("cat/dog, low", CIFAR),
        ("cat-dog, low", CIFAR),
        ("cat (dog), low", CIFAR),
        ("cat dog low", CIFAR),
        ("cat, high; dog, low", CIFAR),
        ("cat, high. Or cat, low or high", CIFAR),
        ("it is not a cat, high", CIFAR),
        ("it isn't a cat, high", CIFAR),
        ("cat rather than frog, high", CIFAR),
        ("15, high", DIGITS),
        ("1.5, high", DIGITS),
        ("-5, high", DIGITS),
        ("1 or 7, low", DIGITS),
        ("car racing car, high", CARS),
        ("t-shirt, high", CLOTHES),
        ("cat, high", ["Cat", "cat"]),
        ("cat, high", []),
    ],
)
def test_whatever_leaves_a_doubt_has_no_class(text, names):
    assert parse(text, names) is None


# names of classes as data sets have them: words, spaces, digits, hyphens
NAME = st.from_regex(r"[a-z0-9]{1,6}([ -][a-z0-9]{1,6}){0,2}", fullmatch=True).filter(
    lambda name: (
        not {*name.replace("-", " ").split()}
        & {"low", "high", "no", "not", "nor", "or", "with", "cannot", "confidence", "lower", "higher", "never"}
    )
)
NAMES = st.lists(NAME, min_size=2, max_size=8, unique=True)
CONFIDENCE = st.sampled_from(["low", "high"])


@given(names=NAMES, choice=st.integers(0, 7), confidence=CONFIDENCE, before=st.text(max_size=200))
def test_lines_before_the_last_do_not_matter(names, choice, confidence, before):
    choice %= len(names)
    assert parse(f"{before}\n{names[choice]}, {confidence}", names) == (choice, confidence)


@given(
    names=NAMES,
    choice=st.integers(0, 7),
    confidence=CONFIDENCE,
    before=st.sampled_from(["", "* ", "Answer: ", "I see it. ", "**"]),
    after=st.sampled_from(["", ".", "**", "\n", ")", '"', " ."]),
    upper=st.booleans(),
)
def test_dress_does_not_matter(names, choice, confidence, before, after, upper):
    choice %= len(names)
    text = f"{names[choice]}, {confidence}"
    assert parse(before + (text.upper() if upper else text) + after, names) == (choice, confidence)


@given(
    names=NAMES,
    choices=st.tuples(st.integers(0, 7), st.integers(0, 7)),
    confidence=CONFIDENCE,
    between=st.sampled_from([", ", " or ", " and ", "/", " | ", "; ", ", low, ", ", high; "]),
)
def test_two_classes_at_the_end_are_never_one(names, choices, confidence, between):
    first, second = (names[choice % len(names)] for choice in choices)
    text = f"{first}{between}{second}, {confidence}"
    assert first == second or parse(text, names) is None


@given(text=st.text(alphabet="catdogbirhiglow,. \n-/:", max_size=60))
def test_a_class_is_read_only_where_the_text_ends_with_it(text):
    if read := parse(text, CIFAR):
        *_, name, confidence = (
            text.replace(".", " ").replace(",", " ").replace("-", " ").replace("/", " ").replace(":", " ").split()
        )
        assert (name, confidence.removesuffix("er")) == (CIFAR[read[0]], read[1])

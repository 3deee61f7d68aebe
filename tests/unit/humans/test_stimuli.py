"""The stimuli of the human study, their key, and how the study is shown."""

import io
import json
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from robustlaws.attacks import record
from robustlaws.data import shards
from robustlaws.humans.stimuli import images as stimuli
from robustlaws.humans.stimuli import presentation
from robustlaws.settings import Architecture, PgdCw, Presentation, Stimuli, Threat
from robustlaws.storage import human_tables, tables

NAMES = ["plane", "car", "bird"]


def rows(count, fooled, seed=0, channels=1):
    """Return images, labels and the columns of a record in which the images `fooled` fooled the network."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (count + 3, 6, 5, channels), dtype=np.uint8)
    labels = rng.integers(0, 3, count + 3)
    index = np.arange(count)
    robust = ~np.isin(index, fooled)
    clean = images[:count] / np.float32(255)
    attacked = np.clip(clean + rng.uniform(-0.1, 0.1, clean.shape), 0, 1).astype(np.float32)
    columns_of = {
        "index": index,
        "clean_prediction": labels[:count].copy(),
        "adversarial_prediction": np.where(robust, labels[:count], (labels[:count] + 1) % 3),
        "adversarial": attacked,
    }
    return images, labels, robust, columns_of


def made(folder, images, labels, robust, columns_of, split="test", run="some/run", **changes):
    """Return the stimuli and their key as data frames."""
    folder.mkdir(parents=True, exist_ok=True)
    shards.write(folder / "images.h5", images, labels, {"class_names": NAMES, "split": split})
    attack = PgdCw(**PGD)
    record.write(folder / "record.h5", labels[columns_of["index"]], robust, columns_of, attack, {"attacks": ["a"]})
    return make(folder, run=run, **changes)


def make(folder, **changes):
    options = {"run": "some/run", "split": "test", "batch_images": 4, "seed": 5} | changes
    paths = {"stimuli_path": folder / "stimuli.parquet", "key_path": folder / "key.parquet"}
    stimuli.make(
        record_path=folder / "record.h5", images_path=folder / "images.h5", **paths, settings=Stimuli(**options)
    )
    shown = tables.read(paths["stimuli_path"], human_tables.STIMULI)
    return shown, tables.read(paths["key_path"], human_tables.STIMULUS_KEY)


PGD = {
    "run": "some/run",
    "architecture": Architecture(10, 1, 3, 1, 8, (), ()),
    "threat": Threat("Linf", 0.1),
    "seed": 1,
    "steps": 1,
    "step_size": 0.1,
    "objective": "cw",
    "beta": 5.0,
    "images": None,
    "batch": 8,
}


def decoded(png):
    pixels = np.array(Image.open(io.BytesIO(png)))
    return pixels if pixels.ndim == 3 else pixels[..., None]


@settings(max_examples=25, deadline=None)
@given(data=st.data(), count=st.integers(1, 30), size=st.integers(1, 12), seed=st.integers(0, 99))
def test_each_part_holds_each_image_once_in_batches(tmp_path_factory, data, count, size, seed):
    fooled = sorted(data.draw(st.sets(st.integers(0, count - 1))))
    folder = tmp_path_factory.mktemp("stimuli")
    shown, key = made(folder, *rows(count, fooled), batch_images=size, seed=seed)
    assert list(shown["id"]) == list(key["id"])
    assert shown["id"].is_unique
    for part, variant in ((1, "adversarial"), (2, "clean")):
        mine = shown[shown["part"] == part]
        assert set(key.loc[mine.index, "variant"]) <= {variant}
        assert sorted(key.loc[mine.index, "index"]) == fooled
        full, rest = divmod(len(fooled), size)
        sizes = mine.groupby("batch").size()
        assert list(sizes.index) == list(range(1, len(sizes) + 1))
        assert list(sizes) == [size] * full + [rest] * (rest > 0)
        for _, batch in mine.groupby("batch"):
            assert list(batch["position"]) == list(range(1, len(batch) + 1))


@pytest.mark.parametrize("channels", [1, 3])
def test_stimuli_pictures_are_the_images_in_8_bits(tmp_path, channels):
    images, labels, robust, columns_of = rows(9, range(9), channels=channels)
    shown, key = made(tmp_path, images, labels, robust, columns_of)
    for png, index, variant in zip(shown["png"], key["index"], key["variant"], strict=True):
        wanted = images[index] / 255 if variant == "clean" else columns_of["adversarial"][index]
        assert np.abs(decoded(png) / 255.0 - wanted).max() <= 0.5 / 255 + 1e-7
        opened = Image.open(io.BytesIO(png))
        assert (opened.mode, opened.info) == ({1: "L", 3: "RGB"}[channels], {})
    assert (key["label"] == labels[key["index"]]).all()
    assert (key["adversarial_prediction"] == (key["label"] + 1) % 3).all()


def test_no_picture_can_be_told_from_another_by_its_length(tmp_path):
    images, labels, robust, columns_of = rows(6, range(4), channels=3)
    images[:2] = 200  # flat, and then attacked: compressed, the two would differ in length
    columns_of["adversarial"][2] = 0.5
    shown, _ = made(tmp_path, images, labels, robust, columns_of, attention_checks=1)
    assert shown["png"].nunique() > 5
    assert shown["png"].map(len).nunique() == 1


def test_stimuli_depend_on_the_seed_not_the_record_order(tmp_path):
    images, labels, robust, columns_of = rows(20, range(2, 16))
    shown, key = made(tmp_path / "a", images, labels, robust, columns_of)
    turned = np.random.default_rng(1).permutation(20)
    there = made(tmp_path / "b", images, labels, robust[turned], {n: v[turned] for n, v in columns_of.items()})
    assert shown.equals(there[0])
    assert key.equals(there[1])
    other, other_key = make(tmp_path / "a", seed=6)
    assert not set(shown["id"]) & set(other["id"])
    assert list(key["index"]) != list(other_key["index"])
    parts = [list(key.loc[key["variant"] == variant, "index"]) for variant in ("adversarial", "clean")]
    assert parts[0] != parts[1]


def test_the_stimuli_file_is_the_same_whatever_the_key_says(tmp_path):
    """What the browser gets is a function of the pixels and of which images are shown, of nothing secret."""
    images, labels, robust, columns_of = rows(12, range(12))
    made(tmp_path / "a", images, labels, robust, columns_of)
    other = columns_of | {
        "clean_prediction": (columns_of["clean_prediction"] + 1) % 3,
        "adversarial_prediction": (columns_of["adversarial_prediction"] + 1) % 3,
    }
    made(tmp_path / "b", images, (labels + 1) % 3, robust, other)
    item, two = ((tmp_path / name / "stimuli.parquet").read_bytes() for name in "ab")
    assert item == two
    assert (tmp_path / "a/key.parquet").read_bytes() != (tmp_path / "b/key.parquet").read_bytes()
    # the versions trade places: the same pictures, now called the other way round
    turned = {"adversarial": images[:12] / np.float32(255)}
    swapped = np.concatenate([np.rint(columns_of["adversarial"] * 255).astype(np.uint8), images[12:]])
    shown = tables.read(tmp_path / "a/stimuli.parquet", human_tables.STIMULI)
    there, _ = made(tmp_path / "c", swapped, labels, robust, columns_of | turned)
    assert dict(zip(shown["png"], shown["id"], strict=True)) == dict(zip(there["png"], there["id"], strict=True))


def test_equal_pictures_have_ids_that_tell_nobody(tmp_path):
    images, labels, robust, columns_of = rows(8, range(8))
    images[:8] = images[0]
    columns_of["adversarial"] = images[:8] / np.float32(255)
    shown, _ = made(tmp_path, images, labels, robust, columns_of)
    assert shown["png"].nunique() == 1
    assert shown["id"].nunique() == 16
    assert shown["id"].str.fullmatch("[0-9a-f]{16}").all()


def test_stimuli_checks_are_clean_unbroken_images_in_each_batch(tmp_path):
    images, labels, robust, columns_of = rows(30, range(10))
    shown, key = made(tmp_path, images, labels, robust, columns_of, attention_checks=2)
    checks = key[key["is_attn_check"]]
    assert set(checks["variant"]) == {"clean"}
    assert set(checks["index"]) <= set(range(10, 30))
    assert set(Counter(checks["index"]).values()) == {2}
    assert (checks["label"] == checks["clean_prediction"]).all()
    counted = shown.loc[checks.index].groupby(["part", "batch"]).size()
    assert list(counted) == [2] * 6
    assert sorted(shown.groupby(["part", "batch"]).size()) == [4, 4, 6, 6, 6, 6]
    for index in set(checks["index"]):
        parts = shown.loc[checks.index[checks["index"] == index]]
        assert list(parts["part"]) == [1, 2]
        assert all(np.array_equal(decoded(png), images[index]) for png in parts["png"])
    with pytest.raises(ValueError, match=r"attention_checks: 7 for each of 3 batches.* only 20 images of .*record\.h5"):
        make(tmp_path, attention_checks=7)


def test_fewer_images_are_drawn_from_all_by_the_seed(tmp_path):
    images, labels, robust, columns_of = rows(40, range(40))
    made(tmp_path, images, labels, robust, columns_of)
    _, key = make(tmp_path, images=10)
    drawn = set(key["index"])
    assert len(drawn) == 10
    assert max(drawn) >= 10
    assert drawn != set(make(tmp_path, images=10, seed=6)[1]["index"])
    assert len(make(tmp_path, images=100)[1]) == 80


def test_a_network_that_nothing_fooled_gives_an_empty_study(tmp_path):
    shown, key = made(tmp_path, *rows(5, []), attention_checks=1)
    assert shown.empty
    assert key.empty


def test_files_that_do_not_belong_together_are_named_in_one_line(tmp_path):
    images, labels, robust, columns_of = rows(10, range(10))

    def refused(match, images=images, labels=labels, columns_of=columns_of, **changes):
        with pytest.raises(ValueError, match=match) as raised:
            made(tmp_path, images, labels, robust, columns_of, **changes)
        assert "\n" not in str(raised.value)
        assert not (tmp_path / "stimuli.parquet").exists()

    refused(r"record\.h5: the record of some/run, not of other", run="other")
    refused(r"images\.h5: images of the train split; those of the test split", split="train")
    refused(r"adversarial: pixels outside", columns_of=columns_of | {"adversarial": columns_of["adversarial"] * np.nan})
    record_labels = labels[columns_of["index"]]
    made(tmp_path / "good", images, labels, robust, columns_of)
    shards.write(tmp_path / "good/images.h5", images[:4], labels[:4], {})
    with pytest.raises(ValueError, match=r"record\.h5 index: image 9 wanted, 4 in .*images\.h5"):
        make(tmp_path / "good")
    shards.write(tmp_path / "good/images.h5", images[:10], (record_labels + 1) % 3, {})
    with pytest.raises(ValueError, match=r"record\.h5: not an attack on the images of"):
        make(tmp_path / "good")


def shown_as(folder, consent=None, **changes):
    images = np.zeros((4, 6, 5, 1), np.uint8)
    shards.write(folder / "images.h5", images, np.array([0, 2, 1, 0]), changes)
    paths = []
    if consent is not None:
        (folder / "consent.txt").write_bytes(consent)
        paths = [folder / "consent.txt"]
    options = Presentation("a study", "batch", False, 320, "ask@example.org", answer_seconds=20)
    path = folder / "presentation.json"
    presentation.write(images_path=folder / "images.h5", consent_paths=paths, presentation_path=path, settings=options)
    return presentation.read(path)


def test_a_presentation_is_read_as_it_was_written(tmp_path):
    result = shown_as(tmp_path, "Grüße.\n\nZweiter Absatz.\n".encode(), class_names=NAMES)
    assert result.consent == "Grüße.\n\nZweiter Absatz."
    assert result.classes == NAMES
    assert result.image == [6, 5, 1]
    assert (result.study, result.page, result.smooth, result.enlarged) == ("a study", "batch", False, 320)
    assert (result.image_seconds, result.answer_seconds, result.contact) == (None, 20.0, "ask@example.org")
    assert shown_as(tmp_path).classes == ["0", "1", "2"]
    assert shown_as(tmp_path).consent == presentation.CONSENT
    for kept in ("code's name", "the class and the confidence", "how long", "take back", "network address"):
        assert kept in presentation.CONSENT
    content = json.loads((tmp_path / "presentation.json").read_text())
    del content["consent"]
    (tmp_path / "presentation.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"presentation\.json: .*consent"):
        presentation.read(tmp_path / "presentation.json")


@pytest.mark.parametrize(
    ("consent", "match"),
    [(b"caf\xe9", "not UTF-8"), (b" \n", "empty"), (b"x" * 20_001, "20001 characters; at most 20000")],
)
def test_a_consent_that_cannot_be_shown_is_refused_in_one_line(tmp_path, consent, match):
    with pytest.raises(ValueError, match=rf"consent\.txt: .*{match}") as raised:
        shown_as(tmp_path, consent)
    assert "\n" not in str(raised.value)


def test_a_consent_that_is_missing_is_named(tmp_path):
    shards.write(tmp_path / "images.h5", np.zeros((1, 6, 5, 1), np.uint8), np.zeros(1, int), {})
    options = Presentation("a study", "single", True, 320, "")
    with pytest.raises(ValueError, match=r"gone\.txt: cannot be read"):
        presentation.write(
            images_path=tmp_path / "images.h5",
            consent_paths=[tmp_path / "gone.txt"],
            presentation_path=tmp_path / "presentation.json",
            settings=options,
        )

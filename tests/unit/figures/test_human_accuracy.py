"""Figures of the human study: what they show and say, and that nothing simulated is drawn as if people had answered."""

import re

import h5py
import numpy as np
import pandas as pd
import pytest

from robustlaws.attacks import record
from robustlaws.data import shards
from robustlaws.humans.stimuli import images as stimuli
from robustlaws.storage import human_tables, tables
from tests.support import human_study
from tests.support.figure_study import CLASSES, build, draw, write_attack

NAMES = ("human_accuracy", "invalid_images", "training_attack")


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return build(tmp_path_factory.mktemp("study"))


@pytest.fixture(scope="module")
def drawn(study, tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawn")
    return {name: draw(name, folder, study) for name in NAMES}


def test_human_accuracy_draws_each_participant_with_intervals(study, drawn):
    _, text, _, table = drawn["human_accuracy"]
    given = tables.read(study["human_accuracy"], human_tables.HUMAN_ACCURACY)
    for who, series in (("P1", "P1"), ("P3", "P3"), (None, "mean of the people")):
        for confidence, meaning in (("any", "all answers"), ("low", "low confidence"), ("high", "high confidence")):
            mine = given[(given["annotator_id"].isna() if who is None else given["annotator_id"] == who)
                         & (given["confidence"] == confidence)].set_index("variant")  # fmt: skip
            (point,) = table[(table["series"] == series) & (table["label"] == meaning)].itertuples()
            assert (point.x, point.y) == (mine.loc["clean", "accuracy"], mine.loc["adversarial", "accuracy"])
            for side, variant, along in (("clean", "clean", "x"), ("attacked", "adversarial", "y")):
                ends = table[(table["series"] == f"{series}: interval, {side}") & (table["label"] == meaning)][along]
                assert list(ends) == [mine.loc[variant, "low"], mine.loc[variant, "high"]]
    assert re.search(r"Mean of the people: clean 9[0-9.]+% \[", text)
    assert "imulated" not in text


def test_simulated_participants_and_models_are_called_so(tmp_path, study):
    rows = human_study.accuracy_rows("simulated", 3) + [
        row | {"annotator_id": "vlm", "kind": "model", "without_class": 2}
        for row in human_study.accuracy_rows("person", 1) if row["annotator_id"]
    ]  # fmt: skip
    tables.write(tmp_path / "accuracy.parquet", rows, human_tables.HUMAN_ACCURACY)
    _, text, _, table = draw("human_accuracy", tmp_path, study | {"human_accuracy": tmp_path / "accuracy.parquet"})
    assert "Simulated participants and models: accuracy on attacked" in text
    assert "no person answered" in text
    assert "people" not in text
    assert {"P1 (simulated)", "vlm (model)", "mean of the simulated participants"} <= set(table["series"])
    assert "4 answers without a class" in text
    simulated = human_study.write(tmp_path, study["autoattack_record"], study["test_images"], "simulated")
    _, text, _, table = draw("invalid_images", tmp_path, study | simulated)
    assert "as simulated participants judged them" in text
    assert "people" not in text
    assert "no person answered" in text


def test_a_crowd_is_drawn_without_a_colour_for_each(tmp_path, study):
    tables.write(tmp_path / "a.parquet", human_study.accuracy_rows("simulated", 50), human_tables.HUMAN_ACCURACY)
    _, text, _, table = draw("human_accuracy", tmp_path, study | {"human_accuracy": tmp_path / "a.parquet"})
    assert "50 simulated participants" in text
    assert "P17" not in text
    assert (table["kind"] == "points").sum() == 51 * 3


def test_where_only_models_judged_no_people_are_drawn(tmp_path, study):
    models = human_study.write(tmp_path, study["autoattack_record"], study["test_images"], "model", people=0)
    validity = tables.read(models["validity"], human_tables.VALIDITY)  # deceptive is what people say
    validity["verdict"] = validity["verdict"].replace("deceptive", "ambiguous")
    tables.write(models["validity"], validity, human_tables.VALIDITY)
    _, text, _, table = draw("invalid_images", tmp_path, study | models)
    assert "as models judged them" in text
    assert "were judged by models: ambiguous 11 (40.7%), valid 16 (59.3%)." in text
    assert "as the network sees it" not in text
    assert "No person has answered." in text
    assert not table["label"].str.contains("people|simulated|majority").any()
    assert "people: " not in text
    _, text, _, table = draw("human_accuracy", tmp_path, study | models)
    assert "Models: accuracy on attacked" in text
    assert "No person has answered." in text
    assert "people" not in text
    assert "mean of the models" in set(table["series"])


def test_people_and_models_together_are_participants(tmp_path, study):
    both = human_study.write(tmp_path, study["autoattack_record"], study["test_images"], people=2)
    _, text, _, table = draw("invalid_images", tmp_path, study | both)
    assert "as participants judged them" in text
    assert "deceptive: most people agree with the network" in text
    assert "ambiguous: not seen right, nor by most people as the network sees it" in text
    assert table["label"].str.contains("people: ").all()
    # an image that only the models were shown has no people's line
    validity = tables.read(both["validity"], human_tables.VALIDITY)
    validity.loc[validity["verdict"] == "ambiguous", "people"] = 0
    tables.write(both["validity"], validity, human_tables.VALIDITY)
    table = draw("invalid_images", tmp_path, study | both)[3]
    assert table["label"].str.contains("people: ").equals(table["series"] != "ambiguous")
    simulated = human_study.write(tmp_path, study["autoattack_record"], study["test_images"], "simulated", people=2)
    _, text, _, table = draw("invalid_images", tmp_path, study | simulated)
    assert "as simulated participants and models judged them" in text
    assert "people" not in text


def test_invalid_images_count_unjudged_images(tmp_path, study):
    none = human_study.write(tmp_path, study["autoattack_record"], study["test_images"], participants=0)
    validity = tables.read(none["validity"], human_tables.VALIDITY).assign(verdict="unjudged")
    tables.write(none["validity"], validity, human_tables.VALIDITY)
    text = draw("invalid_images", tmp_path, study | none)[1]
    assert "no image has been judged yet" in text
    assert "as people" not in text


def test_thousands_who_saw_clean_images_only_are_counted(tmp_path, study):
    rows = human_study.accuracy_rows("person", 1)
    clean = human_study.accuracy_rows("person", 1)[0]
    rows += [clean | {"annotator_id": f"cifar10h-{place}"} for place in range(2571)]
    tables.write(tmp_path / "a.parquet", rows, human_tables.HUMAN_ACCURACY)
    text = draw("human_accuracy", tmp_path, study | {"human_accuracy": tmp_path / "a.parquet"})[1]
    assert "for want of answers to both kinds of images: 2,571 participants." in text
    assert "cifar10h" not in text
    assert "mean" not in text  # of the single one who was shown attacked images


def test_human_accuracy_names_participants_of_one_kind_only(tmp_path, study):
    rows = human_study.accuracy_rows("person", 2)
    rows = [row for row in rows if (row["annotator_id"], row["variant"]) != ("P2", "clean")]
    rows[0] |= {"accuracy": None, "images": 0, "right": 0, "low": None, "high": None}  # P1, clean, any
    tables.write(tmp_path / "a.parquet", rows, human_tables.HUMAN_ACCURACY)
    _, text, _, table = draw("human_accuracy", tmp_path, study | {"human_accuracy": tmp_path / "a.parquet"})
    assert "for want of answers to both kinds of images: P2." in text
    assert set(table.loc[table["series"] == "P1", "label"]) == {"low confidence", "high confidence"}
    only = [row for row in rows if row["variant"] == "clean"]
    tables.write(tmp_path / "a.parquet", only, human_tables.HUMAN_ACCURACY)
    text = draw("human_accuracy", tmp_path, study | {"human_accuracy": tmp_path / "a.parquet"})[1]
    assert "nothing to show: no participant has answered both kinds of images" in text


def test_invalid_images_stand_beside_their_clean_versions(study, drawn):
    _, text, _, table = drawn["invalid_images"]
    validity = tables.read(study["validity"], human_tables.VALIDITY)
    assert len(validity) == 27
    shares = {name: int((validity["verdict"] == name).sum()) for name in ("deceptive", "ambiguous", "valid")}
    assert shares == {"deceptive": 6, "ambiguous": 5, "valid": 16}
    assert "Of 27 images that fooled the network and were judged by people: deceptive 6 (22.2%), " in text
    assert "ambiguous 5 (18.5%), valid 16 (59.3%)." in text
    by_index = validity.set_index("index")
    shown = table.groupby("series", sort=False)["z"].nunique()
    assert dict(shown) == {"deceptive": 6, "ambiguous": 5, "valid": 4}
    for row in table.itertuples():
        judged = by_index.loc[int(row.z)]
        assert judged["verdict"] == row.series
        many = "no majority" if pd.isna(judged["majority"]) else CLASSES[int(judged["majority"])]
        says = f"true: {CLASSES[judged['label']]}, network: {CLASSES[judged['prediction']]}, people: {many}"
        assert row.label in (f"attacked; {says}", f"clean; {says}")
    assert "simulated" not in text.lower()


def test_the_pixels_drawn_are_those_of_the_stimuli(tmp_path, study):
    """White attacked and black clean images can be told apart in the picture."""
    shown, key = (
        tables.read(study[n], t) for n, t in (("stimuli", human_tables.STIMULI), ("key", human_tables.STIMULUS_KEY))
    )
    flat = {"adversarial": (255, 0, 0), "clean": (0, 0, 255)}
    variant = key.set_index("id")["variant"]
    shown["png"] = [stimuli.as_png(np.full((8, 8, 3), flat[variant[name]], np.uint8)) for name in shown["id"]]
    tables.write(tmp_path / "stimuli.parquet", shown, human_tables.STIMULI)
    picture = draw("invalid_images", tmp_path, study | {"stimuli": tmp_path / "stimuli.parquet"})[0][..., :3]
    red, blue = ((np.abs(picture - np.array(colour)) < 0.02).all(-1) for colour in ((1, 0, 0), (0, 0, 1)))
    assert red.sum() == blue.sum() > 10_000
    assert np.flatnonzero(red.any(0))[0] < np.flatnonzero(blue.any(0))[0]


def test_unjudged_images_are_counted_not_drawn(tmp_path, study):
    validity = tables.read(study["validity"], human_tables.VALIDITY)
    validity.loc[validity["verdict"] == "valid", "verdict"] = "unjudged"
    tables.write(tmp_path / "v.parquet", validity, human_tables.VALIDITY)
    _, text, _, table = draw("invalid_images", tmp_path, study | {"validity": tmp_path / "v.parquet"})
    assert "Of 11 images" in text
    assert "16 images not judged yet." in text
    assert set(table["series"]) == {"deceptive", "ambiguous"}
    tables.write(tmp_path / "v.parquet", validity.assign(verdict="unjudged"), human_tables.VALIDITY)
    text = draw("invalid_images", tmp_path, study | {"validity": tmp_path / "v.parquet"})[1]
    assert "nothing to show: no image has been judged yet" in text


def test_a_judged_image_that_was_never_shown_is_named(tmp_path, study):
    validity = tables.read(study["validity"], human_tables.VALIDITY)
    validity.loc[validity["verdict"] == "deceptive", "index"] += 1000
    tables.write(tmp_path / "v.parquet", validity, human_tables.VALIDITY)
    with pytest.raises(ValueError, match=r"v\.parquet: test image 1\d\d\d is not among the stimuli"):
        draw("invalid_images", tmp_path, study | {"validity": tmp_path / "v.parquet"})


def test_training_attack_is_drawn_beside_autoattack(study, drawn):
    _, text, _, table = drawn["training_attack"]
    # 3 of 60 are wrong when clean; AutoAttack breaks 24 more, the attack of the training 12
    assert ("60 test images, right of these: 57 clean (95.0%), 45 under the attack of the training (75.0%), "
            "33 under AutoAttack (55.0%).") in text  # fmt: skip
    assert ("60 training images, right of these: 57 clean (95.0%), 45 under the attack of the training (75.0%)."
            in text)  # fmt: skip
    counts = table.groupby("series").size()
    assert dict(counts) == {"test images": 6 * 3, "training images": 8 * 2}
    inner, auto = (record.read(study[noun])[0] for noun in ("inner_test", "autoattack_record"))
    for row in table[table["series"] == "test images"].itertuples():
        version, name = row.label.split(": ")
        columns_of = auto if version == "AutoAttack" else inner
        given = columns_of["clean_prediction" if version == "clean" else "adversarial_prediction"]
        assert name == CLASSES[given[int(row.z)]]
    # what AutoAttack broke comes first
    broken = (auto["broken_by"] >= 0)[table.loc[table["series"] == "test images", "z"].astype(int)]
    assert broken.all()


def test_training_attack_joins_records_by_index(tmp_path, study):
    columns_of, about = record.read(study["autoattack_record"])
    order = np.random.default_rng(0).permutation(60)[:20]
    path = tmp_path / "some.h5"
    with h5py.File(path, "w") as file:
        for name, value in about.items():
            file.attrs[name] = value
        for name, values in columns_of.items():
            file[name] = values[order]
    text = draw("training_attack", tmp_path, study | {"autoattack_record": path})[1]
    inner = record.read(study["inner_test"])[0]
    wanted = [int((of["adversarial_prediction"] == of["label"])[order].sum()) for of in (inner, columns_of)]
    assert (
        f"20 test images, right of these: {int((inner['clean_prediction'] == inner['label'])[order].sum())} clean"
        in text
    )
    assert f"{wanted[0]} under the attack of the training" in text
    assert f"{wanted[1]} under AutoAttack" in text


def test_other_weights_of_the_run_are_said(tmp_path, study, drawn):
    assert "other weights" not in drawn["training_attack"][1]
    given = {}
    for noun in ("inner_test", "autoattack_record"):
        given[noun] = tmp_path / f"{noun}.h5"
        given[noun].write_bytes(study[noun].read_bytes())
        with h5py.File(given[noun], "r+") as file:
            file.attrs["weights_sha256"] = noun
    assert "AutoAttack met other weights of the run" in draw("training_attack", tmp_path, study | given)[1]


def test_records_of_different_networks_or_images_are_refused(tmp_path, study):
    images, labels = shards.read(study["test_images"])
    write_attack(tmp_path / "other.h5", "another/run", images, labels, 0.1)
    with pytest.raises(ValueError, match=r"other\.h5: the record of another/run, but .*inner-test\.h5 is of"):
        draw("training_attack", tmp_path, study | {"autoattack_record": tmp_path / "other.h5"})
    shards.write(tmp_path / "few.h5", images[:5], labels[:5], {})
    with pytest.raises(ValueError, match=r"inner-train\.h5 index: image 59 wanted, 5 in .*few\.h5"):
        draw("training_attack", tmp_path, study | {"train_images": tmp_path / "few.h5"})

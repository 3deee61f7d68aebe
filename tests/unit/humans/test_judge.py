"""The tables of the human study: the paper's numbers, the rule of validity restated, intervals that cover."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom

from robustlaws.humans.analysis import accuracy, benchmark, judge, responses
from robustlaws.storage import human_tables
from robustlaws.storage import tables as records
from tests.support import answered
from tests.support.answered import answer

PEOPLE = ("ann", "ben", "cy")
MODEL = {"kind": "model", "confidence": "high"}


def judged(folder, rows, key, labels, predictions, **rule):
    """Return the four tables of a study by name."""
    records.write(folder / "answers", rows, human_tables.ANSWERS)
    records.write(folder / "key", key, human_tables.STIMULUS_KEY)
    answered.attack_record(folder / "record", labels, predictions)
    tables = {
        "accuracy": human_tables.HUMAN_ACCURACY,
        "validity": human_tables.VALIDITY,
        "benchmark": human_tables.BENCHMARK,
        "agreement": human_tables.AGREEMENT,
    }
    judge.judge(answers_path=folder / "answers", key_path=folder / "key", record_path=folder / "record",
                  settings=answered.judging(**rule), **{f"{name}_path": folder / name for name in tables})  # fmt: skip
    return {name: records.read(folder / name, table) for name, table in tables.items()}


def papers_answers(labels, predictions, fooled, kind="person"):
    """Return answers that have the paper's counts, the model right with high confidence where it is.

    Of 1,902 valid images all three people are right on 1,218, two on 384 and one on 300, half of these with high
    confidence and half with the model; of 727 invalid ones one is right on 303, unsure, and on 284 two or three give
    the network's class.
    """
    right_people = np.r_[[3] * 1218, [2] * 384, [1] * 300, [1] * 303, [0] * 424]
    model_right = np.r_[np.arange(910), np.arange(1752, 1902), np.arange(2300, 2400)]
    deceptive = np.r_[np.arange(2100, 2205), np.arange(2450, 2629)]  # 105 of them with one person right
    rows = []
    for place, index in enumerate(fooled):
        label, network = labels[index], predictions[index]
        others = [c for c in range(10) if c not in (label, network)]
        for turn in range(3):
            right = turn < right_people[place]
            wrong = network if place in deceptive else others[turn]
            sure = "high" if (right and place < 1752) or (not right and turn == 1) else "low"
            who = PEOPLE[(turn + place) % 3]
            rows.append(answer(who, index, label, label if right else wrong, confidence=sure, kind=kind))
    model = set(model_right.tolist())
    rows += [answer("gpt-4", index, labels[index], labels[index] if place in model else others_than(labels[index]),
                    **MODEL) for place, index in enumerate(fooled)]  # fmt: skip
    return rows


def others_than(label):
    return (label + 1) % 10


@pytest.fixture(scope="module")
def paper(tmp_path_factory):
    rng = np.random.default_rng(7)
    labels = rng.integers(0, 10, 10_000)
    fooled = np.sort(rng.permutation(10_000)[:2629])
    predictions = labels.copy()
    predictions[fooled] = (labels[fooled] + rng.integers(1, 10, 2629)) % 10
    rows = papers_answers(labels, predictions, fooled)
    people = [row for row in rows if row["kind"] == "person"]
    # the counts that the paper gives
    assert sum(row["correct_guess"] for row in people) == 5025
    assert sum(row["correct_guess"] for row in rows) - 5025 == 1160
    key = answered.key_of(labels, predictions, fooled)
    return judged(tmp_path_factory.mktemp("paper"), rows, key, labels, predictions, resamples=400)


def score(tables, who, data, annotator=None):
    rows = tables["benchmark"]
    rows = rows[(rows["who"] == who) & (rows["data"] == data)]
    rows = rows if annotator is None else rows[rows["annotator_id"] == annotator]
    (row,) = rows.to_dict("records")
    return row


def test_the_papers_verdicts(paper):
    result = paper["validity"]["verdict"].value_counts()
    assert result["valid"] == 1902
    assert result["deceptive"] + result["ambiguous"] == 727
    assert round(100 * result["deceptive"] / 727) == 39
    assert "unjudged" not in result


@pytest.mark.parametrize(
    ("who", "data", "annotator", "percent", "images"),
    [
        ("network", "all", None, 73.71, 10_000),
        ("network", "valid", None, 79.49, 9273),
        ("human_mean", "all", None, 90.46, 10_000),
        ("human_mean", "valid", None, 96.46, 9273),
        ("participant", "all", "gpt-4", 85.31, 10_000),
    ],
)
def test_the_papers_table_4(paper, who, data, annotator, percent, images):
    row = score(paper, who, data, annotator)
    assert row["images"] == images
    assert round(100 * row["accuracy"], 2) == percent
    assert row["low"] < row["accuracy"] < row["high"]
    assert not row["simulated"]


def test_the_papers_right_answers_exactly(paper):
    assert score(paper, "network", "valid")["right"] == 7371
    assert score(paper, "human_mean", "all")["right"] == pytest.approx(7371 + 5025 / 3, rel=1e-12)
    assert score(paper, "human_mean", "valid")["right"] == pytest.approx(7371 + 4722 / 3, rel=1e-12)
    assert score(paper, "participant", "all", "gpt-4")["right"] == pytest.approx(7371 + 1160, rel=1e-12)


def test_accuracy_adds_up_over_confidences(paper):
    table = paper["accuracy"].set_index(["annotator_id", "confidence"])
    for who in (*PEOPLE, "gpt-4"):
        parts, whole = table.loc[who].drop("any"), table.loc[(who, "any")]
        assert parts["right"].sum() == whole["right"]
        assert parts["images"].sum() == whole["images"] == 2629
    assert table.loc[("gpt-4", "any"), "accuracy"] == pytest.approx(0.4412, abs=5e-5)
    mean = paper["accuracy"][paper["accuracy"]["annotator_id"].isna() & (paper["accuracy"]["kind"] == "person")]
    assert mean.set_index("confidence").loc["any", "accuracy"] == pytest.approx(5025 / 3 / 2629)
    assert set(paper["accuracy"]["variant"]) == {"adversarial"}  # nobody was shown a clean one


def test_simulated_participants_are_marked_in_every_table(tmp_path):
    labels = np.arange(40) % 10
    predictions = np.where(np.arange(40) < 20, labels, (labels + 1) % 10)
    fooled = np.arange(20, 40)
    rows = [answer(f"simulated-{n}", i, labels[i], labels[i] if i % 3 else predictions[i], kind="simulated",
                   confidence="low") for n in (1, 2) for i in fooled]  # fmt: skip
    rows += [answer("gpt", i, labels[i], labels[i], **MODEL) for i in fooled]
    tables = judged(tmp_path, rows, answered.key_of(labels, predictions, fooled), labels, predictions)
    assert tables["validity"]["simulated"].all()
    bench = tables["benchmark"].set_index(["who", "data", "kind"])["simulated"]
    assert bench["human_mean"].all()
    assert bench[("participant", "all", "simulated")].all()
    assert not bench[("participant", "all", "model")].any()
    assert bench.xs("valid", level="data").all()  # what is valid, simulated participants said
    agreement = tables["agreement"]
    assert agreement[agreement["among"].isin(["simulated", "all"])]["simulated"].all()
    assert "person" not in set(agreement["among"]) | set(tables["accuracy"]["kind"])


def test_a_study_that_nobody_has_answered(tmp_path):
    labels, predictions = np.array([0, 1, 2, 3]), np.array([0, 1, 3, 3])
    tables = judged(tmp_path, [], answered.key_of(labels, predictions, [2]), labels, predictions)
    assert tables["validity"]["verdict"].tolist() == ["unjudged"]
    assert tables["benchmark"][["who", "data", "right", "images"]].to_numpy().tolist() == [
        ["network", "all", 3.0, 4], ["network", "valid", 3.0, 4],
    ]  # fmt: skip
    assert tables["accuracy"].empty
    assert tables["agreement"].empty


def test_attention_checks_count_nowhere(tmp_path):
    labels, predictions = np.array([0, 1, 2, 3]), np.array([0, 1, 3, 0])
    key = answered.key_of(labels, predictions, [2, 3])
    rows = [answer(who, i, labels[i], labels[i], variant=variant, confidence="high") for who in PEOPLE for i in (2, 3)
            for variant in ("adversarial", "clean")]  # fmt: skip
    without, checked = tmp_path / "without", tmp_path / "checked"
    for folder, more in ((without, []), (checked, [1, 2])):
        folder.mkdir()
        checks = [answered.stimulus(0, 0, 0, "clean", check=True, part=part) for part in more]
        wrong = [answer(who, 0, 0, 5, variant="clean", is_attn_check=1) for who in PEOPLE for _ in more]
        longer = pd.concat([key, pd.DataFrame(checks)]) if checks else key
        judged(folder, rows + wrong, longer, labels, predictions)
    for name in ("accuracy", "validity", "benchmark", "agreement"):
        assert (without / name).read_bytes() == (checked / name).read_bytes(), name


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda rows, key: rows.append(rows[0]), "twice"),
        (lambda rows, key: rows.append(answer("x", 0, 0, 0)), "image 0 .* none of the stimuli"),
        (lambda rows, key: rows.append(answer("s", 2, 2, 2, kind="simulated")), "people and of simulated"),
        (lambda rows, key: rows.append(answer("ann", 3, 3, 3, kind="model")), "two kinds"),
        (lambda rows, key: key.update(label=9), "not that of"),
        (lambda rows, key: key.update(index=1), "none that fooled"),
    ],
)
def test_what_does_not_belong_together_is_refused(tmp_path, change, says):
    labels, predictions = np.array([0, 1, 2, 3]), np.array([0, 1, 3, 0])
    rows = [answer("ann", 2, 2, 2), answer("ben", 3, 3, 0)]
    key = answered.key_of(labels, predictions, [2, 3]).to_dict("records")
    change(rows, key[0])
    with pytest.raises(ValueError, match=says) as caught:
        judged(tmp_path, rows, pd.DataFrame(key), labels, predictions)
    assert "\n" not in str(caught.value)


def crossed(rng, images, participants):
    """Return responses of right (class 0) and wrong answers, of images and participants that differ, half of them
    right in the long run."""
    latent = rng.normal(size=(images, 1)) + 0.5 * rng.normal(size=(1, participants)) + rng.normal(
        size=(images, participants))  # fmt: skip
    zeros = np.zeros(images, dtype=int)
    names = tuple(f"p{n}" for n in range(participants))
    return responses.Responses("adversarial", names, np.array(["person"] * participants, dtype=object),
                               np.arange(images), zeros, zeros + 1, (latent < 0).astype(int),
                               np.full(latent.shape, -1))  # fmt: skip


def test_intervals_of_the_mean_cover_the_truth():
    rng = np.random.default_rng(3)
    rule = answered.judging(resamples=200, level=0.9)
    covered = {"accuracy": 0, "benchmark": 0}
    trials, images, participants = 60, 80, 12
    for _ in range(trials):
        some = crossed(rng, images, participants)
        mean = next(row for row in accuracy.table([some], rule) if row["annotator_id"] is None)
        covered["accuracy"] += mean["low"] <= 0.5 <= mean["high"]
        # a benchmark whose images fool the network with probability 0.4
        fooled = rng.binomial(200, 0.4)
        some = crossed(rng, fooled, participants)
        row = benchmark.table(200 - fooled, 200, some, np.array(["valid"] * fooled), rule)[1]
        assert row["who"] == "human_mean"
        covered["benchmark"] += row["low"] <= 0.6 + 0.4 * 0.5 <= row["high"]
    # 54 of 60, with a deviation of 2.3; drawing rows and columns is known to be wide rather than narrow
    assert all(48 <= count <= 59 for count in covered.values()), covered


def test_people_who_saw_a_part_are_scored_on_it(tmp_path):
    labels, predictions = np.zeros(10, int), np.array([0] * 6 + [1] * 4)
    rows = [answer("ann", 6, 0, 0), answer("ann", 7, 0, 1), answer("ben", 6, 0, 0)]
    tables = judged(tmp_path, rows, answered.key_of(labels, predictions, range(6, 10)), labels, predictions)
    assert score(tables, "participant", "all", "ann")["right"] == 6 + 4 * 1 / 2
    assert score(tables, "participant", "all", "ben")["right"] == 6 + 4 * 1
    assert score(tables, "human_mean", "all")["right"] == 6 + 4 * 2 / 3  # of their answers together
    assert tables["validity"]["verdict"].tolist() == ["valid", "unjudged", "unjudged", "unjudged"]


def test_somebody_who_left_after_one_image_hardly_moves_the_mean(tmp_path):
    labels = np.arange(80) % 10
    predictions = np.where(np.arange(80) < 40, labels, (labels + 1) % 10)
    rows = [answer(who, i, labels[i], labels[i] if i % 4 else predictions[i], confidence="low")
            for who in PEOPLE for i in range(40, 80)]  # fmt: skip
    rows.append(answer("left", 40, labels[40], predictions[40], confidence="low"))
    tables = judged(tmp_path, rows, answered.key_of(labels, predictions, range(40, 80)), labels, predictions,
                    resamples=4000)  # fmt: skip
    means = tables["accuracy"][tables["accuracy"]["annotator_id"].isna()].set_index("confidence")
    mean, whole = means.loc["any"], score(tables, "human_mean", "all")
    assert mean["accuracy"] == means.loc["low", "accuracy"] == 90 / 121  # each finisher 30 of 40
    assert whole["right"] == pytest.approx(40 + 40 * 90 / 121)
    # 40 images, and the finishers do not differ: 0.75 +- 1.96 sqrt(0.75 0.25 / 40)
    assert mean["low"] == pytest.approx(0.616, abs=0.04)
    assert mean["high"] == pytest.approx(0.884, abs=0.04)
    assert whole["low"] > 0.78


def test_judge_means_use_participants_of_adversarial_images(tmp_path):
    """Of both variants: whoever classified clean images elsewhere is no part of the difference between the two."""
    labels, predictions = np.zeros(20, int), np.repeat([0, 1], 10)
    key = answered.key_of(labels, predictions, range(10, 20))
    rows = [answer(who, i, 0, 0 if i != 13 or variant == "clean" else 1, variant=variant) for who in ("ann", "ben")
            for i in range(10, 20) for variant in ("adversarial", "clean")]  # fmt: skip
    others = [answer(f"cifar10h-{n}", 10 + n % 10, 0, 5, variant="clean") for n in range(50)]
    model = [answer("gpt", i, 0, i % 2, variant="clean", kind="model") for i in range(10, 20)]
    both = judged(tmp_path, rows + others + model, key, labels, predictions)["accuracy"]
    alone = judged(tmp_path, others, key, labels, predictions)["accuracy"]

    def means(table):
        table = table[table["annotator_id"].isna() & (table["confidence"] == "any")]
        return {(row.kind, row.variant): (row.images, row.accuracy) for row in table.itertuples()}

    assert means(both) == {("person", "adversarial"): (20, 0.9), ("person", "clean"): (20, 1.0),
                           ("model", "clean"): (10, 0.5)}  # fmt: skip
    assert both["annotator_id"].str.startswith("cifar10h", na=False).sum() == 3 * 50  # each has rows of their own
    assert means(alone) == {("person", "clean"): (50, 0.0)}  # nobody was shown an adversarial one


def test_judge_ignores_clean_only_people_for_adversarial(tmp_path):
    """As CIFAR-10H's thousands would: neither a mean nor the width of its interval."""
    labels = np.arange(60) % 10
    predictions = np.where(np.arange(60) < 30, labels, (labels + 1) % 10)
    key = answered.key_of(labels, predictions, range(30, 60))
    rows = [answer(who, i, labels[i], labels[i] if (i + turn) % 3 else 9 - labels[i], confidence="low")
            for turn, who in enumerate(PEOPLE) for i in range(30, 60)]  # fmt: skip
    clean = [answer(f"other-{n}", 30 + n, labels[30 + n], 0, variant="clean") for n in range(30)]
    tables = []
    for name, more in (("without", []), ("with", clean)):
        (tmp_path / name).mkdir()
        tables.append(judged(tmp_path / name, rows + more, key, labels, predictions))
    for name in ("benchmark", "validity"):
        pd.testing.assert_frame_equal(tables[0][name], tables[1][name])
    first, second = (table["accuracy"][table["accuracy"]["variant"] == "adversarial"] for table in tables)
    pd.testing.assert_frame_equal(first.reset_index(drop=True), second.reset_index(drop=True))
    low = second[second["annotator_id"].isna() & (second["confidence"] == "low")].iloc[0]
    assert 0 < low["high"] - low["low"] < 0.5


def test_a_network_that_nothing_fooled(tmp_path):
    labels = np.array([0, 1, 2])
    tables = judged(tmp_path, [], answered.key_of(labels, labels, images=[]), labels, labels)
    assert tables["validity"].empty
    assert tables["benchmark"]["accuracy"].tolist() == [1.0, 1.0]


def test_a_network_fooled_everywhere_by_invalid_images(tmp_path):
    labels, predictions = np.zeros(3, int), np.ones(3, int)
    rows = [answer(who, i, 0, 1) for who in PEOPLE for i in range(3)]
    tables = judged(tmp_path, rows, answered.key_of(labels, predictions), labels, predictions)
    assert set(tables["validity"]["verdict"]) == {"deceptive"}
    assert set(tables["benchmark"]["data"]) == {"all"}  # no valid image is left to score anybody on
    assert (tables["benchmark"]["accuracy"] == 0).all()


def test_judge_accepts_resamples_without_fooling_images(tmp_path):
    """The network right on 49 of 50, the person wrong on the one: what is wrong of a resample is binomial."""
    labels, predictions = np.zeros(50, int), np.r_[[0] * 49, 1]
    rows = [answer("ann", 49, 0, 1)]
    tables = judged(tmp_path, rows, answered.key_of(labels, predictions, [49]), labels, predictions, resamples=4000)
    for who in ("human_mean", "participant"):
        row = score(tables, who, "all")
        assert row["accuracy"] == 49 / 50
        low, high = 1 - binom.ppf([0.975, 0.025], 50, 1 / 50) / 50
        assert [row["low"], row["high"]] == pytest.approx([low, high])
        assert high == 1


def test_valid_data_are_not_counted_where_a_part_was_shown(tmp_path, caplog):
    labels, predictions = np.zeros(10, int), np.repeat([0, 1], 5)
    for shown, data in (([5, 6, 7, 8, 9], {"all", "valid"}), ([5, 7], {"all"})):
        caplog.clear()
        rows = [answer(who, i, 0, int(i == 5)) for who in PEOPLE for i in shown]
        tables = judged(tmp_path, rows, answered.key_of(labels, predictions, shown), labels, predictions)
        assert set(tables["benchmark"]["data"]) == data
        assert ("2 of 5 images that fooled the network are shown" in caplog.text) == (len(shown) < 5)
    assert score(tables, "human_mean", "all")["right"] == 5 + 5 / 2
    assert tables["validity"]["verdict"].tolist() == ["deceptive", "valid"]


def test_judge_interval_covers_unshown_fooling_images():
    """One participant right on half of 100 of 400: the share's own error, four times as heavy, is most of the width."""
    right = np.arange(100)[:, None] % 2
    some = responses.Responses("adversarial", ("ann",), np.array(["person"], dtype=object), np.arange(100),
                               np.zeros(100, int), np.ones(100, int), right, np.full((100, 1), -1))  # fmt: skip
    rows = benchmark.table(600, 1000, some, np.array(["valid"] * 100), answered.judging(resamples=4000))
    row = next(row for row in rows if row["who"] == "participant")
    assert row["accuracy"] == 0.8
    # 1 - fooled share x (1 - share right): variances of a product of independent estimates
    deviation = np.sqrt(0.4**2 * 0.25 / 100 + 0.5**2 * 0.4 * 0.6 / 1000)
    assert [row["low"], row["high"]] == pytest.approx([0.8 - 1.96 * deviation, 0.8 + 1.96 * deviation], abs=0.003)

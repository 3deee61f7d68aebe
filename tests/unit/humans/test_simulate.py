"""Simulated participants answer as the settings say, and as names alone decide."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from robustlaws.humans.answers import simulate
from robustlaws.settings import Simulation
from robustlaws.storage import human_tables, tables
from tests.support import answered

LABELS = np.arange(700) % 10
NETWORK = (LABELS + 1 + np.arange(700) // 10 % 9) % 10
TOLD = {"participants": 30, "clean_accuracy": 0.92, "adversarial_accuracy": 0.6, "follow": 0.4, "seed": 3}


def answers(folder, key=None, labels=LABELS, class_names=answered.CLASSES, **changes):
    key = answered.key_of(LABELS, NETWORK) if key is None else key
    tables.write(folder / "key", key, human_tables.STIMULUS_KEY)
    answered.shard_of(folder / "images", labels, class_names)
    simulate.simulate(key_path=folder / "key", images_path=folder / "images", answers_path=folder / "answers",
                       settings=Simulation(**TOLD | changes))  # fmt: skip
    return tables.read(folder / "answers", human_tables.ANSWERS)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return answers(tmp_path_factory.mktemp("simulated"))


def test_all_are_marked_as_simulated(made):
    assert set(made["kind"]) == {"simulated"}
    assert set(made["annotator_id"]) == {f"simulated-{n}" for n in range(1, 31)}


@pytest.mark.parametrize(("variant", "accuracy"), [("clean", 0.92), ("adversarial", 0.6)])
def test_expected_accuracy_is_that_of_the_settings(made, variant, accuracy):
    right = made[made["variant"] == variant].pivot(index="cifar10_test_test_idx", columns="annotator_id",
                                                   values="correct_guess").to_numpy()  # fmt: skip
    images, people = right.shape
    error = np.sqrt(right.mean(axis=0).var(ddof=1) / people + right.mean(axis=1).var(ddof=1) / images)
    assert abs(right.mean() - accuracy) < 2.5 * error
    assert error < 0.02  # else the line before would say nothing


def test_each_participants_accuracy_is_that_of_the_skill(made):
    """Given the skill, a participant's answers to images are independent: binomial bounds hold."""
    shift = norm.ppf(0.6) * np.sqrt(1 + simulate.SKILL**2 + simulate.DIFFICULTY**2)
    seen = made[made["variant"] == "adversarial"].groupby("annotator_id")["correct_guess"].mean()
    # the skill that would explain the clean accuracy explains the adversarial one
    clean = made[made["variant"] == "clean"].groupby("annotator_id")["correct_guess"].mean()
    clean_shift = norm.ppf(0.92) * np.sqrt(1 + simulate.SKILL**2 + simulate.DIFFICULTY**2)
    spread = np.sqrt(1 + simulate.DIFFICULTY**2)
    skill = norm.ppf(clean) * spread - clean_shift
    expected = norm.cdf((shift + skill) / spread)
    assert np.corrcoef(expected, seen[clean.index])[0, 1] > 0.6
    assert np.abs(expected - seen[clean.index]).mean() < 0.08


def test_images_are_difficult_for_all(made):
    seen = made[made["variant"] == "adversarial"].assign(half=made["annotator_id"].str[-1].isin(list("02468")))
    halves = seen.pivot_table(index="cifar10_test_test_idx", columns="half", values="correct_guess")
    assert np.corrcoef(halves[True], halves[False])[0, 1] > 0.7


def test_wrong_answers_follow_the_network_as_told(made):
    wrong = made[(made["correct_guess"] == 0) & (made["variant"] == "adversarial")]
    network = NETWORK[wrong["cifar10_test_test_idx"]]
    follows = (wrong["chosen_label"] == network).to_numpy(dtype=bool)
    assert abs(follows.mean() - 0.4) < 4 * np.sqrt(0.4 * 0.6 / len(wrong))
    assert (wrong["chosen_label"] != wrong["true_label"]).all()
    # the others are any of the eight that are left, all alike
    steps = (wrong["chosen_label"].to_numpy(int) - network)[~follows] % 10
    counts = np.bincount(steps, minlength=10)[1:]
    assert counts.min() > 0.6 * counts.mean()


def test_simulation_is_confident_when_right_slow_when_unsure(made):
    high = made["confidence"] == "high"
    right = made["correct_guess"] == 1
    assert high[right].mean() > high[~right].mean() + 0.2
    median = made.groupby(high)["reaction_time"].median()
    assert 300 < median[True] < median[False] < 10_000
    assert made["reaction_time"].min() > 0


def test_more_images_or_participants_change_no_other_answer(made, tmp_path):
    few = answers(tmp_path, answered.key_of(LABELS, NETWORK, images=[5, 17, 600]), participants=2)
    same = made[made["annotator_id"].isin(["simulated-1", "simulated-2"])
                & made["cifar10_test_test_idx"].isin([5, 17, 600])]  # fmt: skip
    answered.same(few, same)


def test_another_seed_gives_other_answers(made, tmp_path):
    other = answers(tmp_path, participants=1, seed=4)
    assert not other["chosen_label"].equals(made[made["annotator_id"] == "simulated-1"]["chosen_label"])


def test_accuracies_of_nothing_and_everything(tmp_path):
    made = answers(tmp_path, participants=2, clean_accuracy=1.0, adversarial_accuracy=0.0, follow=1.0)
    clean = made["variant"] == "clean"
    assert made[clean]["correct_guess"].all()
    assert (made[~clean]["chosen_label"].to_numpy() == NETWORK[made[~clean]["cifar10_test_test_idx"]]).all()


def test_attention_checks_are_answered_each_time(tmp_path):
    checks = [answered.stimulus(1, 1, 1, "clean", check=True, part=part) for part in (1, 2)]
    key = pd.concat([answered.key_of(LABELS, NETWORK, images=[0]), pd.DataFrame(checks)])
    made = answers(tmp_path, key, participants=1)
    assert made["is_attn_check"].tolist() == [0, 0, 1, 1]
    assert made["reaction_time"].iloc[2] != made["reaction_time"].iloc[3]


def test_two_classes_and_one(tmp_path):
    labels = LABELS % 2
    made = answers(tmp_path, answered.key_of(labels, 1 - labels), labels, class_names=None, follow=0.0, participants=3)
    assert set(made["chosen_category"]) == {"0", "1"}
    with pytest.raises(ValueError, match="one class alone"):
        answers(tmp_path, answered.key_of(labels * 0, labels * 0), labels * 0, class_names=None)

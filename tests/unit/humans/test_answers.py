"""Answers from any file become one checked table, or one line says what is wrong where."""

import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robustlaws.humans.answers import collect as answers
from robustlaws.settings import Answers
from robustlaws.storage import human_tables, tables
from tests.support import answered
from tests.support.answered import answer

LABELS = np.array([3, 8, 8, 0, 6, 6, 1, 6])
NETWORK = np.array([5, 8, 1, 0, 4, 4, 1, 3])
SHOWN = (0, 2, 4, 5, 7)
MINIMAL = "annotator_id,cifar10_test_test_idx,variant,chosen_label\n"


@pytest.fixture
def study(tmp_path):
    """A function of answer files and settings that collects them and returns the table."""
    checks = [answered.stimulus(1, 8, 8, "clean", check=True, part=part) for part in (1, 2)]
    key = pd.concat([answered.key_of(LABELS, NETWORK, images=SHOWN), pd.DataFrame(checks)])
    tables.write(tmp_path / "key", key, human_tables.STIMULUS_KEY)
    answered.shard_of(tmp_path / "images", LABELS)

    def collect(*paths, simulated=False, split="test"):
        answers.collect(key_path=tmp_path / "key", images_path=tmp_path / "images", answers_paths=list(paths),
                        table_path=tmp_path / "answers.parquet", csv_path=tmp_path / "answers.csv",
                        settings=Answers(split=split, simulated=simulated))  # fmt: skip
        table = tables.read(tmp_path / "answers.parquet", human_tables.ANSWERS)
        pd.testing.assert_frame_equal(answers.read(tmp_path / "answers.csv"), table)  # the CSV says the same
        return table

    return collect


def text_file(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def rows_of(who, kind="person", **more):
    return [answer(who, index, LABELS[index], (LABELS[index] + index) % 10, kind=kind, variant=variant,
                   confidence="low", reaction_time=1234.5 + index, batch=1, trial_index=index, **more)
            for variant in ("adversarial", "clean") for index in SHOWN]  # fmt: skip


def test_no_files_are_a_study_that_nobody_has_answered(study, tmp_path):
    assert study().empty
    assert (tmp_path / "answers.csv").read_text() == ",".join(human_tables.ANSWERS) + "\n"


def test_files_of_all_kinds_in_any_order(study, tmp_path):
    paths = [tmp_path / "people.parquet", tmp_path / "people.csv", tmp_path / "model.parquet"]
    rows = [rows_of("ann"), rows_of("ben"), rows_of("gpt", "model")]
    for path, some in zip(paths, rows, strict=True):
        if path.suffix == ".csv":
            answered.table_of(some).to_csv(path, index=False)
        else:
            tables.write(path, some, human_tables.ANSWERS)
    first = study(*paths)
    answered.same(first, answered.table_of([row for some in rows for row in some]))
    pd.testing.assert_frame_equal(study(*reversed(paths)), first)
    assert first["annotator_id"].drop_duplicates().tolist() == ["ann", "ben", "gpt"]
    assert set(first[first["kind"] == "model"]["annotator_id"]) == {"gpt"}


def test_what_a_small_file_lacks_is_derived(study, tmp_path):
    text = (
        MINIMAL.replace("chosen_label", "chosen_category,status")
        + "7,0,adversarial,dog,\n7,2,clean,ship,\n7,4,clean,,refused\n"
    )
    table = study(text_file(tmp_path / "mine.csv", "\ufeff" + text))
    assert table["annotator_id"].tolist() == ["7"] * 3
    assert table["chosen_label"].fillna(-1).tolist() == [5, 8, -1]
    assert table["true_category"].tolist() == ["cat", "ship", "frog"]
    assert table["correct_guess"].tolist() == [0, 1, 0]
    assert table["status"].tolist() == ["answered", "answered", "refused"]
    assert set(table["kind"]) == {"person"}
    assert set(table["split"]) == {"test"}
    assert table[["confidence", "reaction_time", "batch"]].isna().all().all()


def test_other_images_variants_and_splits_are_left_out(study, tmp_path, caplog):
    lines = "a,0,adversarial,3\na,1,adversarial,3\na,3,clean,3\na,999,clean,3\n"
    assert study(text_file(tmp_path / "a.csv", MINIMAL + lines))["cifar10_test_test_idx"].tolist() == [0]
    assert "3 answers left out" in caplog.text
    other = tmp_path / "train.parquet"
    tables.write(other, rows_of("ann", split="train"), human_tables.ANSWERS)
    assert study(other).empty
    with pytest.raises(ValueError, match="key: of the other split, not train"):
        study(other, split="train")


def test_simulated_participants_and_others_are_never_together(study, tmp_path, caplog):
    people, made = tmp_path / "people", tmp_path / "made"
    tables.write(people, rows_of("ann"), human_tables.ANSWERS)
    tables.write(made, rows_of("simulated-1", "simulated"), human_tables.ANSWERS)
    assert set(study(people, made)["kind"]) == {"person"}
    assert f"{made}: 10 answers of simulated participants left out" in caplog.text
    assert set(study(people, made, simulated=True)["kind"]) == {"simulated"}
    assert f"{people}: 10 answers of others than simulated" in caplog.text


def test_attention_checks_stay_and_come_twice(study, tmp_path):
    table = study(text_file(tmp_path / "a.csv", MINIMAL + "a,1,clean,8\na,1,clean,7\na,0,clean,3\n"))
    assert sorted(table["is_attn_check"]) == [0, 1, 1]


CIFAR10H = (
    "annotator_id,trial_index,is_attn_check,true_category,chosen_category,true_label,chosen_label,correct_guess,"
    "cifar10_test_test_idx,image_filename,subcategory,reaction_time,time_elapsed\n"
)


def test_cifar10h_is_taken_as_it_is(study, tmp_path):
    text = CIFAR10H + (
        "0,0,0,cat,cat,3,3,1,0,domestic_cat_s_000907.png,domestic cat,1204.0,25304\n"
        "0,1,1,ship,dog,-99999,-99999,0,-99999,attention.png,,800.5,26000\n"
        "0,2,0,ship,truck,8,9,0,2,hydrofoil_s_000078.png,hydrofoil,-3,28000\n"
        "1,0,0,airplane,airplane,0,0,1,3,airplane_s_1.png,airplane,900,1000\n"
    )
    path = text_file(tmp_path / "cifar10h-raw.csv", text)
    table = study(path)
    assert table["annotator_id"].tolist() == ["cifar10h-0"] * 2  # image 3 is none of the study
    assert set(table["kind"]) == {"person"}
    assert set(table["variant"]) == {"clean"}
    assert table["confidence"].isna().all()
    assert table["correct_guess"].tolist() == [1, 0]
    assert table["reaction_time"].fillna(-1).tolist() == [1204.0, -1]
    assert table["trial_index"].tolist() == [0, 2]
    assert len(answers.read(path)) == 3
    assert set(answers.read(path)["is_attn_check"]) == {0}


def test_cifar10h_answer_to_a_check_counts_as_a_check(study, tmp_path):
    text = CIFAR10H + (
        "0,0,0,cat,cat,3,3,1,0,domestic_cat_s_000907.png,domestic cat,1204.0,25304\n"
        "0,1,0,ship,ship,8,8,1,1,sea_boat_s_001456.png,sea boat,900,26500\n"
    )
    table = study(text_file(tmp_path / "cifar10h-raw.csv", text))
    assert table[["cifar10_test_test_idx", "is_attn_check"]].to_numpy().tolist() == [[0, 0], [1, 1]]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "a.csv: empty; a header with"),
        ("annotator_id,variant,chosen_label\n", "column 'cifar10_test_test_idx' is missing"),
        ("annotator_id,cifar10_test_test_idx,variant\n", "column 'chosen_label' or 'chosen_category' is missing"),
        (MINIMAL.replace("variant", "varaint"), "unknown column 'varaint'"),
        (MINIMAL.replace("\n", ",chosen_label\n") + "a,0,clean,3,3\n", "unknown column 'chosen_label.1'"),
        (MINIMAL + "a,0,clean,3,9\n", "not a readable CSV file"),
        (MINIMAL + "a,0,clean,3\n,2,clean,3\n", "row 2 column annotator_id: empty"),
        (MINIMAL + "a,0,clean,3\na,zwei,clean,3\n", "row 2 column cifar10_test_test_idx: 'zwei'; needed: a whole"),
        (MINIMAL + "a,-1,clean,3\n", "row 1 column cifar10_test_test_idx: '-1'"),
        (MINIMAL + "a,1e400,clean,3\n", "row 1 column cifar10_test_test_idx: '1e400'"),
        (MINIMAL + "a,99999999999999999999,clean,3\n", "row 1 column cifar10_test_test_idx: '9999"),
        (MINIMAL + "a,0,dirty,3\n", "row 1 column variant: 'dirty'; needed: one of adversarial, clean"),
        (MINIMAL + "a,0,clean,3.5\n", "row 1 column chosen_label: '3.5'"),
        (MINIMAL + "a,0,clean,10\n", "row 1 column chosen_label: 10; needed: 0 to 9"),
        (MINIMAL + "a,0,clean,\n", "row 1 column status: nothing; needed: unparsable"),
        (MINIMAL.replace("\n", ",status\n") + "a,0,clean,3,refused\n", "row 1 column status: 'refused'; needed: answ"),
        (MINIMAL.replace("\n", ",confidence\n") + "a,0,clean,3,medium\n", "row 1 column confidence: 'medium'"),
        (MINIMAL.replace("\n", ",chosen_category\n") + "a,0,clean,3,dog\n", "row 1 column chosen_category: 'dog'"),
        (MINIMAL.replace("\n", ",chosen_category\n") + "a,0,clean,,Katze\n", "'Katze'; needed: one of airplane"),
        (MINIMAL.replace("\n", ",true_label\n") + "a,0,clean,3,3\na,2,clean,3,3\n",
         "row 2 column true_label: 3; needed: as the key has it, 8"),
        (MINIMAL.replace("\n", ",true_category\n") + "a,0,clean,3,dog\n", "needed: as the key has it, cat"),
        (MINIMAL.replace("\n", ",correct_guess\n") + "a,0,clean,3,0\n", "row 1 column correct_guess: 0"),
        (MINIMAL.replace("\n", ",is_attn_check\n") + "a,0,clean,3,1\n", "row 1 column is_attn_check: 1"),
        (MINIMAL.replace("\n", ",is_attn_check\n") + "a,0,clean,3,2\n", "row 1 column is_attn_check: '2'; needed: a w"),
        (MINIMAL.replace("\n", ",reaction_time\n") + "a,0,clean,3,-5\n", "row 1 column reaction_time: '-5'"),
        (MINIMAL.replace("\n", ",kind\n") + "a,0,clean,3,robot\n", "row 1 column kind: 'robot'"),
        (MINIMAL.replace("\n", ",split\n") + "a,0,clean,3,validation\n", "row 1 column split: 'validation'"),
        (MINIMAL + "a,0,clean,3\na,0,adversarial,3\na,0,clean,4\n",
         "row 3: a answered image 0 (clean) before, in"),
        (MINIMAL + "x" * 300 + ",0,clean,3\n", "row 1 column annotator_id"),
        (MINIMAL + "a,0,clean,\"3\n", "not a readable CSV file"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_one_line(study, tmp_path, text, says):
    path = text_file(tmp_path / "a.csv", text)
    with pytest.raises(ValueError, match=re.escape(says)) as caught:
        study(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    assert len(message) < 500 + len(str(path))
    assert not (tmp_path / "answers.parquet").exists()


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("latin.csv", MINIMAL.encode() + "J\xfcrgen,0,clean,3\n".encode("latin-1"), "not UTF-8"),
        ("a.parquet", b"annotator_id,", "not a readable Parquet file"),
        ("a.csv", b"PAR1 and no more", "not a readable Parquet file"),
        ("a.csv", bytes(range(256)), "a.csv"),
    ],
)
def test_what_is_no_table(study, tmp_path, name, content, says):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=says) as caught:
        study(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_too_large_is_not_read(study, tmp_path):
    with open(tmp_path / "huge.csv", "wb") as file:
        file.truncate(5 << 30)  # takes no room on the disk
    with pytest.raises(ValueError, match="split it up"):
        study(tmp_path / "huge.csv")


def test_the_same_answer_in_two_files(study, tmp_path):
    for name in "ab":
        tables.write(tmp_path / name, rows_of("ann"), human_tables.ANSWERS)
    with pytest.raises(ValueError, match=f"b row 1: ann answered image 0 .* before, in {tmp_path}/a row 1"):
        study(tmp_path / "a", tmp_path / "b")


def test_one_name_of_two_kinds(study, tmp_path):
    first = text_file(tmp_path / "a.csv", MINIMAL + "gpt,0,clean,3\n")
    second = text_file(tmp_path / "b.csv", MINIMAL.replace("\n", ",kind\n") + "gpt,2,clean,3,model\n")
    with pytest.raises(ValueError, match="b.csv row 1: gpt is a model here"):
        study(first, second)


@settings(max_examples=15, deadline=None, derandomize=True)
@given(st.data())
def test_any_answers_come_back_from_csv_as_they_were(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("answers")
    names = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=20)
    rows = []
    for index in range(data.draw(st.integers(0, 5))):
        chosen = data.draw(st.sampled_from([None, *range(10)]))
        time = data.draw(st.none() | st.floats(0, 1e12))
        confidence = None if chosen is None else data.draw(st.sampled_from([None, "low", "high"]))
        rows.append(answer(data.draw(names), index, 3, chosen, confidence=confidence, reaction_time=time,
                           trial_index=data.draw(st.none() | st.integers(0, 2**53))))  # fmt: skip
    answers.write(folder / "a.parquet", folder / "a.csv", rows)
    pd.testing.assert_frame_equal(
        answers.read(folder / "a.csv"), tables.read(folder / "a.parquet", human_tables.ANSWERS)
    )
    pd.testing.assert_frame_equal(answers.read(folder / "a.parquet"), answers.read(folder / "a.csv"))


def test_answers_to_a_study_without_stimuli_are_left_out(tmp_path):
    tables.write(tmp_path / "key", [], human_tables.STIMULUS_KEY)
    answered.shard_of(tmp_path / "images", LABELS, class_names=None)
    tables.write(tmp_path / "mine", rows_of("ann"), human_tables.ANSWERS)
    answers.collect(key_path=tmp_path / "key", images_path=tmp_path / "images", answers_paths=[tmp_path / "mine"],
                    table_path=tmp_path / "a.parquet", csv_path=tmp_path / "a.csv",
                    settings=Answers(split="test", simulated=False))  # fmt: skip
    assert tables.read(tmp_path / "a.parquet", human_tables.ANSWERS).empty


def test_answers_to_another_networks_images_are_left_out(study, tmp_path, caplog):
    """The same test image, attacked through another network, is another image."""
    rows = rows_of("ann")
    for row in rows:
        row["stimulus"] = answered.stimulus(row["cifar10_test_test_idx"], 0, 0, row["variant"])["id"]
    rows[0]["stimulus"] = "0123456789abcdef"
    rows[1]["stimulus"] = None  # a file that does not know it is believed
    tables.write(tmp_path / "people.parquet", rows, human_tables.ANSWERS)
    table = study(tmp_path / "people.parquet")
    assert len(table) == len(rows) - 1
    assert "1 answers left out: to images that looked otherwise" in caplog.text

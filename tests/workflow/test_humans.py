"""The human study from the workflow: people through the web application, a model, and answers from a file."""

import os
import shutil
import subprocess
import sys

import pandas as pd
import pytest

from robustlaws.storage import human_tables, tables
from tests.support.checkouts import Checkout
from tests.support.openai_server import completion, serving
from tests.support.web_server import Participant, Server, client, codes

HUMANS = "results/tiny/humans/test"


def _people_answer(study, key):
    """Let ann be right about all, and ben about what is not adversarial."""

    def ann(image):
        return key["label"][image], "high"

    def ben(image):
        adversarial = key["variant"][image] == "adversarial"
        return key["adversarial_prediction" if adversarial else "label"][image], "low"

    server = Server(study)
    try:
        for choose, code in zip((ann, ben), codes(study, "ann", "ben").values(), strict=True):
            with client(server) as http:
                person = Participant(http, code)
                assert person.enter().status_code == 200
                person.finish(choose)
    finally:
        assert server.stop() == 0, server.output


@pytest.fixture(scope="module")
def answered(finished, tmp_path_factory):
    """A copy of the finished study in which two people, a model and a file have answered instead of a simulation."""
    folder = tmp_path_factory.mktemp("answered") / "checkout"
    shutil.copytree(finished.folder, folder, symlinks=True)
    checkout = Checkout(folder)
    key = tables.read(folder / HUMANS / "key.parquet", human_tables.STIMULUS_KEY).set_index("id")
    _people_answer(folder / "results/tiny", key)
    first = key[(key["variant"] == "adversarial") & ~key["is_attn_check"]].iloc[0]
    (folder / "theirs.csv").write_text(
        "annotator_id,cifar10_test_test_idx,variant,chosen_label,confidence\n"
        f"eve,{first['index']},adversarial,{first['label']},high\n"
    )
    with serving(lambda image, turn: {"body": completion("It looks like\n7, low")}) as model:

        def change(config):
            del config["humans"]["simulated"], config["humans"]["training"]
            config["humans"]["answers"] = ["theirs.csv"]
            config["humans"]["models"] = {"seer": {"model": "seer-1", "address": model.address}}

        checkout.configure(change)
        proxies = {name: "" for name in os.environ if name.lower().endswith("_proxy")}
        done = checkout.snakemake(**proxies)
        assert done.returncode == 0, done.stdout + done.stderr
        asked = len(model.requests)
        again = checkout.snakemake(f"{HUMANS}/models/seer.parquet", "--forcerun", "ask_model", **proxies)
        assert again.returncode == 0, again.stdout + again.stderr
        assert len(model.requests) == asked > 0
    checkout.key = key
    return checkout


def table(checkout, name, kind):
    return tables.read(checkout.folder / HUMANS / f"{name}.parquet", kind)


def test_answers_hold_everybody_but_the_simulation(answered):
    answers = table(answered, "answers", human_tables.ANSWERS)
    assert set(answers["annotator_id"]) == {"ann", "ben", "eve", "seer"}
    assert set(answers["kind"]) == {"person", "model"}
    shown = len(answered.key)
    counts = answers["annotator_id"].value_counts()
    assert (counts["ann"], counts["ben"], counts["eve"]) == (shown, shown, 1)
    adversarial = answers[(answers["variant"] == "adversarial") & (answers["is_attn_check"] == 0)]
    assert counts["seer"] == len(adversarial[adversarial["annotator_id"] == "ann"])
    assert (answers[answers["annotator_id"] == "seer"]["chosen_label"] == 7).all()


def test_verdicts_follow_from_what_was_answered(answered):
    """Ann alone is right: with high confidence it is enough, as the paper has it."""
    validity = table(answered, "validity", human_tables.VALIDITY)
    assert not validity["simulated"].any()
    assert set(validity["verdict"]) == {"valid"}
    benchmark = table(answered, "benchmark", human_tables.BENCHMARK)
    on_all = benchmark[benchmark["data"] == "all"]
    of = on_all.set_index(on_all["annotator_id"].fillna(on_all["who"]))["accuracy"]
    assert of["ann"] == 1
    network = of["network"]
    assert network < of["seer"] < of["human_mean"] < 1


def test_nothing_of_it_says_simulated(answered):
    results = answered.folder / "results/tiny"
    page = (results / "report.html").read_text(encoding="utf-8")
    for mark in ("made up by a simulation", 'class="badge">simulated', "No person has answered"):
        assert mark not in page
    assert "Nobody has taken part" not in (results / "humans/quiz.html").read_text(encoding="utf-8")
    drawn = pd.read_parquet(results / "figures/accuracy.parquet")
    assert {"human level"} <= set(drawn["series"])


def test_with_a_simulation_everything_says_so(finished):
    results = finished.folder / "results/tiny"
    answers = tables.read(results / "humans/test/answers.parquet", human_tables.ANSWERS)
    assert set(answers["kind"]) == {"simulated"}
    page = (results / "report.html").read_text(encoding="utf-8")
    assert "No person has answered" in page
    assert "human level here" not in page.lower()
    assert "Nobody has taken part" in (results / "humans/quiz.html").read_text(encoding="utf-8")
    drawn = pd.read_parquet(results / "figures/accuracy.parquet")
    assert "human level" not in set(drawn["series"])
    for name in ("human_accuracy", "invalid_images", "accuracy"):
        assert "imulated participants" in (results / f"figures/{name}.svg").read_text(encoding="utf-8")


def test_clean_leaves_what_people_answered(answered):
    done = subprocess.run(
        ["make", "--makefile", os.path.abspath("Makefile"), "clean"],
        cwd=answered.folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert "study.sqlite" in done.stderr
    assert (answered.folder / HUMANS / "study.sqlite").is_file()


def test_the_export_by_hand_is_the_same(answered, tmp_path):
    command = [sys.executable, "-m", "robustlaws", "answers", "results/tiny", "--output", str(tmp_path / "all.csv")]
    done = subprocess.run(command, cwd=answered.folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "all.csv").read_bytes() == (answered.folder / HUMANS / "people.csv").read_bytes()

"""The human study in the report: who answered what, how much was shown, and that a simulation is nowhere people."""

import pytest

from robustlaws import report
from robustlaws.report import human_study, pictures
from robustlaws.storage import human_tables, tables
from tests.support.figure_study import build, cell
from tests.support.report_pages import BEST, check, compared, draw, limit

TABLES = {
    "accuracy": human_tables.HUMAN_ACCURACY,
    "validity": human_tables.VALIDITY,
    "benchmark": human_tables.BENCHMARK,
    "agreement": human_tables.AGREEMENT,
}
VERDICTS = ("deceptive", "ambiguous", "valid", "valid")
FOOLED = len(VERDICTS)  # of 10 attacked images


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Runs and laws of a synthetic study, and a comparison with the published one."""
    folder = tmp_path_factory.mktemp("study")
    inputs = build(folder / "in", laws=("additive",))
    comparison = folder / "comparison.parquet"
    rows = [compared("FLOPs to human level", 1.5e29, None, 0.0), compared("limit of accuracy", 0.83, None, 0.0)]
    tables.write(comparison, rows, tables.COMPARISON)
    return {name: inputs[name] for name in ("runs", "curves", "laws", "accuracy")} | {"comparison": comparison}


def accuracy(name, kind, adversarial=FOOLED, clean=FOOLED):
    """Rows of a participant (of none: a mean) who was shown so many images of each variant; a quarter is wrong."""
    return [
        {"annotator_id": name, "kind": kind, "variant": variant, "confidence": confidence, "images": many,
         "right": 3 * many // 4, "accuracy": 3 * many // 4 / many, "low": 0.1, "high": 0.9, "without_class": 0}
        for variant, many in (("adversarial", adversarial), ("clean", clean)) if many
        for confidence in ("any", "high")
    ]  # fmt: skip


def write(folder, *participants, bundle="test", verdicts=VERDICTS, fooled=FOOLED, means=(), extra=()):
    """Write the tables of a bundle judged by participants (name, kind); return the report's argument."""
    kinds = [kind for _, kind in participants]
    invalid = sum(verdict in ("deceptive", "ambiguous") for verdict in verdicts)
    people, simulated = sum(kind != "model" for kind in kinds), "simulated" in kinds
    rows = {
        "accuracy": [row for name, kind in participants for row in accuracy(name, kind)]
        + [row for kind in means for row in accuracy(None, kind)] + list(extra),
        "validity": [
            {"split": bundle, "index": index, "label": 1, "prediction": 2, "participants": len(participants),
             "people": people, "votes": 0, "confident": 0, "majority": None, "verdict": verdict,
             "simulated": simulated}
            for index, verdict in enumerate(verdicts)
        ],
        "benchmark": [
            {"who": who, "annotator_id": name, "kind": kind, "data": data, "images": images, "right": 6.0,
             "accuracy": 6 / images, "low": 0.1, "high": 0.9, "level": 0.95,
             "simulated": kind == "simulated" or (simulated and data == "valid")}
            for data, images in (("all", 6 + fooled), ("valid", 6 + fooled - invalid))
            if data == "all" or fooled == len(verdicts)
            for who, name, kind in [("network", None, None), *(("human_mean", None, kind) for kind in means),
                                    *(("participant", *item) for item in participants)]
        ],
        "agreement": [
            {"measure": "agreement", "variant": "adversarial", "among": among, "first": first, "second": second,
             "images": 4, "value": 0.5, "low": None, "high": None, "simulated": simulated}
            for among, first, second in [
                *((kind, None, None) for kind in means if kind != "model"), ("all", None, None),
                *(("pair", item[0], two[0]) for item, two in zip(participants[:1], participants[1:2], strict=False))]
            if len(participants) > 1
        ],
    }  # fmt: skip
    paths = {name: [folder / bundle / f"{name}.parquet"] for name in TABLES}
    (folder / bundle).mkdir(parents=True)
    for name, table in TABLES.items():
        tables.write(paths[name][0], rows[name], table)
    return paths


def page(folder, study, settings, limits=()):
    """Write the report with this human study; return the words of the page, and those of the human study alone."""
    tables.write(folder / "limits.parquet", list(limits), tables.APPROACHES)
    path = folder / "report.html"
    report.write(path, study="digits", description="", limits=folder / "limits.parquet", humans=settings, **study)
    text = check(path)[1].text
    start = text.index("Human study", text.index("Human study") + 1)  # the first is the link to it
    return text, text[start:].split("Beside the published study")[0].split("Approaches.")[0]


def published_section(text):
    """Return the words of the section on the published study."""
    return text.split("Beside the published study", 1)[1].split(" Laws ", 1)[0]


def human_level(source):
    """Rows of tables.APPROACHES about the human level that `source` reached."""
    title = "Level of the simulated participants" if source == "simulated" else "Human level"
    level = limit("human_accuracy", cell(0.75), (None, None), law="human")
    return [level | {"title": title, "source": source}] + [
        limit("flops_to_human", cell(3.25e21), place) | {"source": source} for place in (BEST, (None, 0.0))
    ]


PEOPLE = (("P1", "person"), ("P2", "person"))


def test_human_section_names_people_and_both_benchmarks(tmp_path, study):
    text, settings = page(tmp_path, study, write(tmp_path, *PEOPLE, means=("person",)), human_level("person"))
    assert ("Of the test images under AutoAttack, 4 images that fooled the network were shown; as people judged them, "
            "2 of 4 (50.0%) are invalid, 1 of these deceptive.") in settings  # fmt: skip
    assert "Table 3. The benchmark with and without invalid images." in settings
    assert "on all images (10) on valid images (8)" in settings
    assert "the network, and the mean person on what fooled it" in settings
    assert "most people see the same wrong class" in settings
    for words in ("obody", "imulat", "model", "finished", "clean images only", "left out"):
        assert words not in settings, words
    assert "FLOPs to human level FID 0 1.5e29 [1.35e29, 1.65e29] 3.25e21" in published_section(text)


def test_nothing_of_a_simulation_is_unmarked(tmp_path, study):
    who = [("S1", "simulated"), ("S2", "simulated"), ("vlm", "model")]
    text, settings = page(
        tmp_path, study, write(tmp_path, *who, means=("simulated", "model")), human_level("simulated")
    )
    own = text.replace("FLOPs to human level FID 0 1.5e29 [1.35e29, 1.65e29]", "")  # the published study's
    assert "human level" not in own.lower()
    assert "3.25e21" in text  # of the approaches, but not beside the paper's people
    assert "3.25e21" not in published_section(text)
    assert "FLOPs to simulated level" in text
    assert "Human study simulated participants No person has answered: these participants are made up" in settings
    assert "as simulated participants and models judged them, 2 of 4" in settings
    assert "on images that the simulation finds valid (8)" in settings
    assert "most simulated participants see" in settings
    for line in ("the mean simulated participant on what", "S1 (simulated) on what", "vlm (model) on what"):
        assert settings.count(f"the network, and {line}") == 1
    for marked in ("mean simulated participant 75.0%", "S1 simulated 75.0%", "S1 and S2 (simulated)",
                   "all simulated participants and models adversarial"):  # fmt: skip
        assert marked in settings
    # every mean says of whom it is
    assert settings.count("mean ") == settings.count("mean simulated participant") + settings.count("mean model")
    for words in ("people see", "as people", "mean person", "mean participant", "Nobody"):
        assert words not in settings, words


def test_what_only_models_judged_is_said_to_be_theirs(tmp_path, study):
    verdicts = ("ambiguous", "ambiguous", "valid", "valid")  # deceptive is what people say
    who = (("vlm", "model"), ("gpt", "model"))
    text, settings = page(tmp_path, study, write(tmp_path, *who, means=("model",), verdicts=verdicts))
    assert (
        "Human study models only Nobody has answered yet: what stands here is of 2 models (gpt and vlm) alone"
        in settings
    )
    assert "as models judged them, 2 of 4 (50.0%) are invalid." in settings  # most people may see what the network sees
    assert "all models adversarial" in settings
    assert "ambiguous too few are right 2" in settings
    assert "the network, and vlm (model) on what fooled it" in settings
    assert "finished" not in settings
    assert "human level" not in text.replace("FLOPs to human level FID 0", "").lower()
    for words in ("people judged", "mean person", "imulat", "participants judged"):
        assert words not in settings, words


def test_human_section_tells_models_from_participants(tmp_path, study):
    settings = page(tmp_path, study, write(tmp_path, *PEOPLE, ("vlm", "model")))[1]
    assert "as participants judged them" in settings
    assert "the network, and vlm (model) on what fooled it" in settings
    assert "models only" not in settings
    assert "Nobody" not in settings


def test_nobody_has_answered(tmp_path, study):
    settings = page(tmp_path, study, write(tmp_path, verdicts=["unjudged"] * 4))[1]
    assert "Nobody has answered yet. robustlaws serve" in settings
    assert "4 images that fooled the network were shown; too few have given a class to judge them." in settings
    assert "on all images (10) the network" in settings  # nothing is judged valid
    # people who only saw clean images (of a table from elsewhere) have not answered
    clean = [row for place in range(2571) for row in accuracy(f"A{place}", "person", adversarial=0)]
    settings = page(tmp_path, study, write(tmp_path / "clean", verdicts=["unjudged"] * 4, extra=clean))[1]
    assert "Nobody has answered yet. robustlaws serve" in settings


def test_images_not_judged_yet_are_counted(tmp_path, study):
    settings = page(tmp_path, study, write(tmp_path, *PEOPLE, verdicts=("deceptive", "valid", "unjudged", "unjudged")))[
        1
    ]
    assert "1 of 2 (50.0%) are invalid, 1 of these deceptive. The other 2 have too few answers to be judged" in settings


def test_where_nothing_fooled_the_network_nobody_is_asked(tmp_path, study):
    settings = page(tmp_path, study, write(tmp_path, verdicts=[], fooled=0))[1]
    assert "Of the test images under AutoAttack, none fooled the network." in settings
    assert "Nobody" not in settings


def test_human_section_counts_fooling_images_of_a_part(tmp_path, study):
    settings = page(tmp_path, study, write(tmp_path, *PEOPLE, fooled=1234))[1]
    assert "4 images that fooled the network were shown, of 1,234 that did; as people judged them, 2 of 4" in settings
    assert "Since not all were shown, the benchmark without the invalid ones is left out." in settings
    assert "Table 3. The benchmark." in settings
    assert "on valid images" not in settings
    settings = page(tmp_path, study, write(tmp_path / "one", verdicts=["valid"], fooled=1, bundle="train"))[1]
    assert ("Of the training images under the attack of the training, 1 image that fooled the network was shown; "
            in settings)  # fmt: skip


@pytest.mark.parametrize(
    ("shown", "sentence"),
    [
        ([(4, 4), (4, 4)], None),
        ([(4, 4), (3, 0)], "Of 2 people who began, 1 has not finished."),
        ([(4, 0), (4, 3), (4, 4)], "Of 3 people who began, 2 have not finished."),
        ([(2, 0)], "Of 1 person who began, 1 has not finished."),
        ([(0, 4), (4, 4)], None),  # of a table from elsewhere: has not begun
    ],
)  # fmt: skip
def test_those_who_have_not_finished_are_counted(tmp_path, shown, sentence):
    rows = [row for place, many in enumerate(shown) for row in accuracy(f"P{place}", "person", *many)]
    rows += accuracy("vlm", "model", 1, 0)
    sentences = human_study.section(**write(tmp_path, extra=rows))["sentences"]
    assert sentences[1:] == ([sentence] if sentence else [])


def test_human_section_counts_clean_only_participants(tmp_path, study):
    clean = [row for place in range(2571) for row in accuracy(f"A{place}", "person", adversarial=0)]
    settings = page(tmp_path, study, write(tmp_path, *PEOPLE, extra=clean))[1]
    assert "2,571 participants answered clean images only and are not in the table." in settings
    assert "A17" not in settings
    assert "P1 person 75.0%" in settings
    assert "finished" not in settings


def test_the_figures_of_the_human_study_stand_under_its_heading(tmp_path):
    names = ("training_attack", "human_accuracy", "invalid_images")
    others = ("samples", "accuracy", "adversarial", "overhead", "never_heard_of")
    paths = [draw(tmp_path / f"{name}.png") for name in (*names, *others)]
    groups = {g["heading"]: [f["name"] for f in g["figures"]] for g in pictures.read(paths, tmp_path / "report.html")}
    assert groups["Human study"] == list(names)
    assert list(groups)[-3:] == ["Attacks", "Human study", "Further figures"]

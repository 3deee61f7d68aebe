"""Rows of the settings of the human study."""

from tests.workflow.staleness import LEFT_OUT, Change, Made, Row, Section, jobs, settings, under

MODEL = "humans.models.asked"


def _more_images(config):
    config["humans"]["training"]["images"] = 32


def _answered(folder):
    (folder / "results/wide/humans/test/people.parquet").touch()


HUMANS = Section(
    "The human study",
    (
        settings(
            {"humans.victim": "checkpoints/zoo"},
            (jobs.INNER, jobs.human_study("the stimuli, all answers and what is made of them", "test", "train")),
            study="wide",
        ),
        settings(
            under("humans", {"batch_images": 10, "images": 12, "attention_checks": 2}),
            (jobs.human_study("the stimuli, all answers and what is made of them", "test", "train"), jobs.LIMITS),
            "answers of people to images that are still shown count; `robustlaws serve` wants a new database",
        ),
        settings(
            under("humans", {"page": "batch", "contact": "a@b.org", "image_seconds": 5, "answer_seconds": 20}),
            (jobs.PRESENTATION, jobs.SHOWN),
        ),
        settings(
            {"humans.consent": "files/another.txt"},
            (jobs.PRESENTATION, jobs.SHOWN),
            study="wide",
        ),
        settings(
            under("humans", {"smooth": True, "enlarged": 100}),
            (jobs.PRESENTATION, jobs.asked("asked"), jobs.QUIZ),
            "the models see other pictures too; for `enlarged`, the quiz only because of their answers",
            study="wide",
        ),
        settings(
            {f"{MODEL}.{key}": value for key, value in {
                "model": "another", "address": "http://localhost:1/v1", "variants": ["clean"], "images": 5,
                "parameters": {"temperature": 1}, "prompt": LEFT_OUT,
            }.items()},
            (jobs.asked("asked"),),
            "what was asked in the same way is not asked again",
            study="wide",
            change="`humans.models`: what a model is asked, or who answers",
        ),
        settings(
            {f"{MODEL}.replay": "files/replies.jsonl"},
            (
                Made("what the model says of the test images", {"ask_model": {"humans/test/models/asked.parquet"}}),
                jobs.judged("the tables of answers and what is made of them", "test", "train"),
            ),
            "recorded replies are those to the test images",
            study="wide",
        ),
        Row(
            "`humans.models`: how a model is asked",
            (
                Change(
                    "how a model is asked",  # all at once: none of it makes anything
                    settings=under(
                        MODEL,
                        {
                            "key": "A_KEY",
                            "concurrency": 1,
                            "attempts": 2,
                            "timeout": 5,
                            "cost_limit": 2,
                            "price": {"input": 2, "output": 3},
                        },
                    ),
                ),
            ),
            (jobs.SHOWN,),
            study="wide",
        ),
        settings(
            {"humans.answers": ["files/theirs.csv"]},
            (jobs.judged("the table of answers and what is made of it", "test"),),
            study="wide",
        ),
        settings(
            {"humans.training.answers": ["files/theirs.csv"]},
            (jobs.judged("the table of answers and what is made of it", "train"),),
            study="wide",
        ),
        Row(
            "answers of people arrive (`people.parquet`)",
            (Change("people have answered", files=_answered),),
            (jobs.judged("the table of answers and what is made of it", "test"),),
            study="wide",
        ),
        settings(
            under(
                "humans.simulated",
                {"participants": 2, "clean_accuracy": 0.8, "adversarial_accuracy": 0.5, "follow": 0.1},
            ),
            (
                jobs.SIMULATED,
                jobs.judged("the table of answers and what is made of it", "test", "train"),
                jobs.LIMITS,
            ),
            change="`humans.simulated`: any key",
        ),
        settings(
            under("humans.validity", {"votes": 1, "confident": 2, "level": 0.9, "resamples": 150}),
            (jobs.verdicts("the verdicts and what is made of them", "test", "train"), jobs.LIMITS),
            change="`humans.validity`: any key",
        ),
        settings({"humans.quiz": 5}, (jobs.QUIZ,)),
        Row(
            "`humans.training.images`",
            (Change("humans.training.images", config=_more_images),),
            (
                jobs.inner("train"),
                jobs.human_study("the stimuli of the training images, answers and what is made of them", "train"),
            ),
        ),
    ),
)  # fmt: skip

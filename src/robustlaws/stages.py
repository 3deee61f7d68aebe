"""Facts about each rule: its stage, its use of GPUs and states, its usual minutes."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Rule:
    """Facts of the jobs of a rule.

    Attributes
    ----------
    stage : str
        Under which the report sums up where its numbers come from.
    gpu : bool
        Whether a job takes a GPU where the study has one.
    resumed : bool
        Whether a job saves its state, stops before its time is over, and goes on when it is started again.
    compiled : bool
        Whether a job compiles its network under `compute.compile`.
    minutes : float
        That a job may take which computes no FLOPs that are counted.
    """

    stage: str
    gpu: bool = False
    resumed: bool = False
    compiled: bool = False
    minutes: float = 15.0


ANALYSIS = "analysis"
# In the order of the work. The costs and the memory of a job are methods with the name of its rule:
# job_resources.job_costs.Costs and job_resources.job_memory.Memory.
RULES = {
    "fetch_file": Rule("data", minutes=240.0),
    "import_data": Rule("data"),
    "stage_samples": Rule("data", resumed=True),
    "train_generator": Rule("generators", gpu=True, resumed=True, compiled=True),
    "import_generator": Rule("generators"),
    "train_extractor": Rule("generators", gpu=True, resumed=True, compiled=True),
    "train_discriminator": Rule("generators", gpu=True, resumed=True, compiled=True),
    "import_pair": Rule("generators"),
    "sample_shard": Rule("sampling", gpu=True, resumed=True, compiled=True),
    "train_features": Rule("quality", gpu=True),
    "measure_split": Rule("quality", gpu=True),
    "measure_shard": Rule("quality", gpu=True),
    "measure_quality": Rule("quality"),
    "train_run": Rule("training", gpu=True, resumed=True, compiled=True),
    "import_checkpoint": Rule("attacks"),
    "attack_run": Rule("attacks", gpu=True),
    "attack_chunk": Rule("attacks", gpu=True, resumed=True),
    "gather_chunks": Rule("attacks"),
    "attack_inner": Rule(ANALYSIS, gpu=True),
    "make_stimuli": Rule(ANALYSIS),
    "write_presentation": Rule(ANALYSIS),
    "simulate_participants": Rule(ANALYSIS),
    "ask_model": Rule(ANALYSIS),
    "collect_answers": Rule(ANALYSIS),
    "judge_images": Rule(ANALYSIS),
    "draw_quiz": Rule(ANALYSIS),
    "collect_runs": Rule(ANALYSIS),
    "collect_attacks": Rule(ANALYSIS),
    "fit_law": Rule(ANALYSIS, minutes=30.0),
    "fit_accuracy": Rule(ANALYSIS),
    "measure_limits": Rule(ANALYSIS),
    "draw_figure": Rule(ANALYSIS),
    "draw_explorer": Rule(ANALYSIS),
    "published": Rule(ANALYSIS, minutes=30.0),
    "plan": Rule(ANALYSIS),
    "collect_provenance": Rule(ANALYSIS, minutes=60.0),
    "export_run": Rule(ANALYSIS),
    "export": Rule(ANALYSIS),
    "write_report": Rule(ANALYSIS),
    "cost": Rule(ANALYSIS),
    "all": Rule(ANALYSIS),
}

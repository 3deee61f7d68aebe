# Reads: what each figure says it is drawn from. Writes: each figure as PNG and SVG.
from robustlaws.figures import FIGURE_INPUTS

# The files that analysis steps and figures read, by noun; report.smk adds those of later rules.
ANALYSIS_FILES = {
    "train_images": rules.import_data.output.train,
    "test_images": rules.import_data.output.test,
    "shards": expand(rules.sample_shard.output.shard, dataset=study.datasets, shard=study.shards(None, 1)),
    "quality": expand(rules.measure_quality.output.quality, dataset=study.datasets),
    "autoattack": outcomes_of_runs("autoattack"),
    "runs": rules.collect_runs.output.runs,
    "curves": rules.collect_runs.output.curves,
    "laws": expand(rules.fit_law.output.law, law=study.config["laws"]["fit"]),
    "allocations": expand(rules.fit_law.output.allocations, law=study.config["laws"]["fit"]),
    "predictions": expand(rules.fit_law.output.predictions, law=study.config["laws"]["fit"]),
    "held_out": expand(rules.fit_law.output.held_out, law=study.config["laws"]["fit"]),
    "refits": expand(rules.fit_law.output.refits, law=study.config["laws"]["fit"]),
    "accuracy": rules.fit_accuracy.output.accuracy,
    "accuracy_refits": rules.fit_accuracy.output.refits,
    "limits": rules.measure_limits.output.limits,
    "human_level": of_bundles(rules.judge_images.output.benchmark, ["test"] if study.human_level_measured else []),
    "human_accuracy": of_bundles(rules.judge_images.output.accuracy, ["test"])[0],
    "stimuli": of_bundles(rules.make_stimuli.output.stimuli, ["test"])[0],
    "key": of_bundles(rules.make_stimuli.output.key, ["test"])[0],
    "validity": of_bundles(rules.judge_images.output.validity, ["test"])[0],
    "inner_train": of_bundles(rules.attack_inner.output.outcome, ["train"])[0],
    "inner_test": of_bundles(rules.attack_inner.output.outcome, ["test"])[0],
    "autoattack_record": expand(
        rules.attack_run.output.outcome, victim=study.humans.get("victim", "none"), attack="autoattack"
    )[0],
}


rule draw_figure:
    input:
        unpack(lambda wildcards: {noun: ANALYSIS_FILES[noun] for noun in FIGURE_INPUTS[wildcards.figure]}),
    output:
        # shown by `snakemake --report`
        png=report("<results>/figures/{figure}.png", category="Figures"),
        svg="<results>/figures/{figure}.svg",
        parquet="<results>/figures/{figure}.parquet",
    log:
        "<results>/logs/figures/{figure}.log",
    benchmark:
        "<results>/benchmarks/figures/{figure}.tsv"
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=memory("draw_figure"),
        runtime=minutes("draw_figure"),
    params:
        # in their order, which Snakemake does not compare
        datasets=lambda wildcards: study.datasets if "quality" in FIGURE_INPUTS[wildcards.figure] else [],
        revision=lambda wildcards: revision(f"figure.{wildcards.figure}"),
    script:
        "../scripts/draw_figure.py"


rule draw_explorer:
    input:
        unpack(lambda wildcards: steps.DRAW_EXPLORER.inputs(ANALYSIS_FILES)),
    output:
        page=report("<results>/explorer.html", category="Figures"),
    log:
        "<results>/logs/figures/explorer.log",
    benchmark:
        "<results>/benchmarks/figures/explorer.tsv"
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=memory("draw_explorer"),
        runtime=minutes("draw_explorer"),
    params:
        about=study.about,
        revision=revision("explorer"),
    script:
        "../scripts/draw_explorer.py"

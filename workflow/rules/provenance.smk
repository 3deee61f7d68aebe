# Reads: where each file of the study says it comes from. Writes: the table of origins, and the whole study as one RO-Crate.
from types import SimpleNamespace


def sampled_with():
    """Return the files of the study that its datasets are sampled with, but for those that somebody else made."""
    found = [sampler_files(SimpleNamespace(dataset=dataset)) for dataset in study.sampled]
    return [path for files in found for name, path in files.items() if name != "folder"]


def made():
    """Return what the jobs of the study made before its tables, but for pictures."""
    attacked = study.victims("autoattack")
    return dict.fromkeys([
        *rules.import_data.output,
        *sampled_with(),
        *(shard for dataset, images in study.sampled.items() for shard in first_shards(dataset, images)),
        *([] if INCEPTION else rules.train_features.output),
        *expand(rules.measure_split.output.moments, split=["test"] if INCEPTION else ["train", "test"]),
        *(
            path
            for dataset in study.datasets
            for path in expand(
                rules.measure_shard.output.moments,
                dataset=dataset,
                shard=study.shards(dataset, study.measured_images()),
            )
        ),
        *expand(rules.measure_quality.output.quality, dataset=study.datasets),
        *of_each_run(list(rules.train_run.output), study.runs),
        *expand(rules.import_checkpoint.output.weights, checkpoint=study.checkpoints),
        *expand(rules.attack_chunk.output.outcome, victim=attacked, attack="autoattack", chunk=study.chunks("autoattack") if attacked else []),
        *rules.collect_attacks.input.outcomes,
    ])


rule collect_provenance:
    input:
        made=lambda wildcards: list(made()),
        concluded=[
            *rules.collect_runs.output,
            *rules.collect_attacks.output,
            *expand(list(rules.fit_law.output), law=study.config["laws"]["fit"]),
            *rules.fit_accuracy.output,
            *rules.measure_limits.output,
            *expand(rules.draw_figure.output.parquet, figure=study.config["figures"]),
            *([rules.published.output.folder] if study.beside_published else []),
        ],
        # say nothing of themselves
        drawn=[
            *expand([rules.draw_figure.output.png, rules.draw_figure.output.svg], figure=study.config["figures"]),
            *rules.draw_explorer.output,
            *rules.plan.output,
        ],
    output:
        table="<results>/tables/provenance.parquet",
        crate="<results>/ro-crate-metadata.json",
        workflow="<results>/workflow/Snakefile",
        config="<results>/workflow/config.yaml",
    log:
        "<results>/logs/provenance/collect.log",
    benchmark:
        "<results>/benchmarks/provenance/collect.tsv"
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        settings=as_params(study.crate()),
        # the page is written after this, and tells of it
        report=lambda wildcards: rules.write_report.output.page,
        snakefile=os.path.relpath(workflow.main_snakefile),
        revision=revision("provenance"),
    script:
        "../scripts/collect_provenance.py"

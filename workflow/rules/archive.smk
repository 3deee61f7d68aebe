# Reads: the tables, laws and figures, and by what they say of themselves all that led to them. Writes: where each file
# comes from, as a table and as an RO-Crate (nothing else is an input: whatever is made anew, a table is made after it);
# a run as RobustBench takes it, weights and entry of the leaderboard.
import os


rule collect_provenance:
    input:
        concluded=[
            *rules.collect_runs.output,
            *rules.collect_attacks.output,
            *expand(list(rules.fit_law.output), law=study.config["laws"]["fit"]),
            *rules.fit_accuracy.output,
            *rules.measure_limits.output,
            *expand(rules.draw_figure.output.parquet, figure=study.config["figures"]),
            *of_bundles(
                [
                    *rules.write_presentation.output,
                    rules.collect_answers.output.table,
                    *rules.judge_images.output,
                ]
            ),
            *([rules.published.output.folder] if study.beside_published else []),
        ],
        # these cannot say it
        drawn=[
            *expand([rules.draw_figure.output.png, rules.draw_figure.output.svg], figure=study.config["figures"]),
            *rules.draw_explorer.output,
            *rules.plan.output,
            *of_bundles(rules.collect_answers.output.csv),
            *(rules.draw_quiz.output if study.humans else []),
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
        mem_mb=memory("collect_provenance"),
        runtime=minutes("collect_provenance"),
    params:
        settings=as_params(study.crate()),
        # written after this, and described by it
        report=lambda wildcards: str(rules.write_report.output.page),
        # the same wherever a checkout lies
        snakefile=os.path.relpath(workflow.main_snakefile),
        revision=revision("provenance"),
    script:
        "../scripts/collect_provenance.py"


rule export_run:
    input:
        weights=lambda wildcards: RUN_WEIGHTS[study.exported_weights(of_run(wildcards))],
        records=run_records,
        test=rules.import_data.output.test,
    output:
        checkpoint="<results>/runs/<run>/robustbench.pt",
        info="<results>/runs/<run>/model_info.json",
    log:
        "<results>/logs/export/<run>.log",
    benchmark:
        "<results>/benchmarks/export/<run>.tsv"
    conda:
        "../../envs/gpu.yaml"
    threads: 1
    resources:
        mem_mb=memory("export_run"),
        runtime=minutes("export_run"),
    params:
        settings=lambda wildcards: as_params(study.export(of_run(wildcards))),
        revision=revision("export"),
    script:
        "../scripts/export_run.py"


rule export:
    input:
        lambda wildcards: of_each_run(rules.export_run.output.checkpoint, study.exported_runs),
        lambda wildcards: of_each_run(rules.export_run.output.info, study.exported_runs),

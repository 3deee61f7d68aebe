# Reads: tables, laws, figures, the published study and the time each job took. Writes: one self-contained page.

REPORT_FILES = ANALYSIS_FILES | {
    "attacks": rules.collect_attacks.output.attacks,
    "figures": expand(rules.draw_figure.output.png, figure=study.config["figures"]),
    "explorer": rules.draw_explorer.output.page,
    "plan": rules.plan.output.page,
    "human_accuracy": of_bundles(rules.judge_images.output.accuracy),
    "validity": of_bundles(rules.judge_images.output.validity),
    "benchmark": of_bundles(rules.judge_images.output.benchmark),
    "agreement": of_bundles(rules.judge_images.output.agreement),
    "quiz": rules.draw_quiz.output.page if study.humans else [],
    "provenance": rules.collect_provenance.output.table,
    "published_folders": [rules.published.output.folder] if study.beside_published else [],
}


rule write_report:
    input:
        # what `robustlaws serve` reads beside the stimuli
        of_bundles(rules.write_presentation.output.presentation),
        # the page links these
        expand([rules.draw_figure.output.svg, rules.draw_figure.output.parquet], figure=study.config["figures"]),
        unpack(lambda wildcards: steps.WRITE_REPORT.inputs(REPORT_FILES)),
    output:
        page=report("<results>/report.html", category="Report"),
    log:
        "<results>/logs/report/page.log",
    benchmark:
        "<results>/benchmarks/report/page.tsv"
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=memory("write_report"),
        runtime=minutes("write_report"),
    params:
        config=study.science,
        benchmarks=subpath(rules.collect_runs.benchmark, ancestor=2),
        revision=revision("report"),
    script:
        "../scripts/write_report.py"

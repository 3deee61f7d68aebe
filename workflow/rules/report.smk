# Reads: tables, laws, figures and the time each job took. Writes: one self-contained page.


rule write_report:
    input:
        runs=rules.collect_runs.output.runs,
        curves=rules.collect_runs.output.curves,
        attacks=rules.collect_attacks.output.attacks,
        laws=expand(rules.fit_law.output.law, law=study.config["laws"]["fit"]),
        accuracy=rules.fit_accuracy.output.accuracy,
        quality=expand(rules.measure_quality.output.quality, dataset=study.datasets),
        figures=expand(rules.draw_figure.output.png, figure=study.config["figures"]),
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
        mem_mb=2000,
        runtime=10,
    params:
        config=study.science,
        benchmarks=subpath(rules.collect_runs.benchmark, ancestor=2),
        revision=revision("report"),
    script:
        "../scripts/write_report.py"

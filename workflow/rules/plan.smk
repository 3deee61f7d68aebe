# Reads: the fitted laws. Writes: what to train next, as a page and as a block for the grid.


rule plan:
    input:
        runs=rules.collect_runs.output.runs,
        laws=expand(rules.fit_law.output.law, law=study.config["laws"]["fit"]),
        refits=expand(rules.fit_law.output.refits, law=study.config["laws"]["fit"]),
        predictions=expand(rules.fit_law.output.predictions, law=study.config["laws"]["fit"]),
        accuracy=rules.fit_accuracy.output.accuracy,
        accuracy_refits=rules.fit_accuracy.output.refits,
    output:
        page=report("<results>/plan.html", category="Plan"),
        block="<results>/plan.yaml",
    log:
        "<results>/logs/plan/page.log",
    benchmark:
        "<results>/benchmarks/plan/page.tsv"
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=memory("plan"),
        runtime=minutes("plan"),
    params:
        settings=lambda wildcards: as_params(study.plan()),
        # how long the runs took, where the config gives no speed; times differ from run to run and make nothing stale
        folder=subpath(input.runs, ancestor=2),
        revision=revision("plan"),
    script:
        "../scripts/plan.py"

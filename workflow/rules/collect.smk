# Reads: what all runs left behind. Writes: the tables of runs, of curves and of accuracies under attack.


rule collect_runs:
    input:
        curves=of_each_run(rules.train_run.output.curve, study.runs),
        pgd=expand(rules.attack_run.output.outcome, attack="pgd_cw", victim=study.victims("pgd_cw", ["runs"])),
        autoattack=expand(
            rules.attack_run.output.outcome, attack="autoattack", victim=study.victims("autoattack", ["runs"])
        ),
        quality=expand(rules.measure_quality.output.quality, dataset=study.datasets),
    output:
        runs="<results>/tables/runs.parquet",
        curves="<results>/tables/curves.parquet",
    log:
        "<results>/logs/collect/runs.log",
    benchmark:
        "<results>/benchmarks/collect/runs.tsv"
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=memory("collect_runs"),
        runtime=minutes("collect_runs"),
    params:
        settings=as_params(study.collecting()),
        revision=revision("collect"),
    script:
        "../scripts/collect_runs.py"


rule collect_attacks:
    input:
        outcomes=expand(
            rules.attack_run.output.outcome,
            zip,
            victim=[victim for victim, _ in study.attacked],
            attack=[attack for _, attack in study.attacked],
        ),
    output:
        attacks="<results>/tables/attacks.parquet",
    log:
        "<results>/logs/collect/attacks.log",
    benchmark:
        "<results>/benchmarks/collect/attacks.tsv"
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=memory("collect_attacks"),
        runtime=minutes("collect_attacks"),
    params:
        settings=as_params(study.collecting_attacks()),
        revision=revision("collect.attacks"),
    script:
        "../scripts/collect_attacks.py"

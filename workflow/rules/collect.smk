# Reads: what all runs left behind. Writes: the tables of runs, of curves and of accuracies under attack.


rule collect_runs:
    input:
        curves=lambda wildcards: of_each_run(rules.train_run.output.curve, study.runs),
        pgd=lambda wildcards: outcomes_of_runs("pgd_cw"),
        autoattack=lambda wildcards: outcomes_of_runs("autoattack"),
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
        settings=lambda wildcards: as_params(study.collecting()),
        revision=revision("collect"),
    script:
        "../scripts/collect_runs.py"


rule collect_attacks:
    input:
        outcomes=lambda wildcards: expand(
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
        settings=lambda wildcards: as_params(study.collecting_attacks()),
        revision=revision("collect.attacks"),
    script:
        "../scripts/collect_attacks.py"

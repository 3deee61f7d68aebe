# Reads: the tables. Writes: each law with its intervals, N* and D* over budgets, predictions; loss to accuracy.
from robustlaws.fit_table import steps


rule fit_law:
    input:
        unpack(lambda wildcards: steps.FIT_LAW.inputs(ANALYSIS_FILES)),
    output:
        law="<results>/laws/{law}.json",
        allocations="<results>/laws/{law}_allocations.parquet",
        predictions="<results>/laws/{law}_predictions.parquet",
        refits="<results>/laws/{law}_refits.parquet",
        held_out="<results>/laws/{law}_held_out.parquet",
    log:
        "<results>/logs/laws/{law}.log",
    benchmark:
        "<results>/benchmarks/laws/{law}.tsv"
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=memory("fit_law"),
        runtime=minutes("fit_law"),
    params:
        settings=lambda wildcards: as_params(study.law(wildcards.law)),
        revision=lambda wildcards: revision(f"law.{wildcards.law}"),
    script:
        "../scripts/fit_law.py"


rule fit_accuracy:
    input:
        unpack(lambda wildcards: steps.FIT_ACCURACY.inputs(ANALYSIS_FILES)),
    output:
        accuracy="<results>/laws/accuracy.json",
        refits="<results>/laws/accuracy_refits.parquet",
    log:
        "<results>/logs/laws/accuracy.log",
    benchmark:
        "<results>/benchmarks/laws/accuracy.tsv"
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=memory("fit_accuracy"),
        runtime=minutes("fit_accuracy"),
    params:
        settings=as_params(study.law("accuracy")),
        revision=revision("law.accuracy"),
    script:
        "../scripts/fit_accuracy.py"


rule measure_limits:
    input:
        unpack(lambda wildcards: steps.MEASURE_LIMITS.inputs(ANALYSIS_FILES)),
    output:
        limits="<results>/laws/limits.parquet",
    log:
        "<results>/logs/laws/limits.log",
    benchmark:
        "<results>/benchmarks/laws/limits.tsv"
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=memory("measure_limits"),
        runtime=minutes("measure_limits"),
    params:
        settings=as_params(study.limits()),
        revision=revision("limits"),
    script:
        "../scripts/measure_limits.py"

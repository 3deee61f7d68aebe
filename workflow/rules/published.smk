# Reads: the paper's own runs, which come with the package. Writes: the laws fitted to them, beside what was printed.


rule published:
    output:
        folder=directory("<results>/published"),
    log:
        "<results>/logs/published/fit.log",
    benchmark:
        "<results>/benchmarks/published/fit.tsv"
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=memory("published"),
        runtime=minutes("published"),
    params:
        revision=revision("published"),
    script:
        "../scripts/published.py"

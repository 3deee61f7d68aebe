# Reads: the weights of a run or checkpoint and the test images. Writes: what an attack did to each image.


rule attack_run:
    input:
        weights=victim_weights,
        test=rules.import_data.output.test,
    output:
        outcome="<results>/{victim}/{attack}.h5",
    log:
        "<results>/logs/attack/{victim}/{attack}.log",
    benchmark:
        "<results>/benchmarks/attack/{victim}/{attack}.tsv"
    wildcard_constraints:
        attack="|".join(name for name in ATTACKS if name not in CHUNKED),
    # before further training: attacks are the longest jobs of a small study and should not come last
    priority: 10
    conda:
        "../../envs/gpu.yaml"
    threads: 1
    resources:
        gpu=ONE_GPU,
        mem_mb=memory("attack_run"),
        runtime=minutes("attack_run"),
    params:
        settings=lambda wildcards: as_params(study.attack(wildcards.attack, wildcards.victim)),
        revision=lambda wildcards: revision(f"attack.{wildcards.attack}"),
    script:
        "../scripts/attack_run.py"


rule attack_chunk:
    input:
        weights=victim_weights,
        test=rules.import_data.output.test,
    output:
        outcome="<results>/{victim}/{attack}/{chunk}.h5",
    log:
        "<results>/logs/attack/{victim}/{attack}/{chunk}.log",
    benchmark:
        "<results>/benchmarks/attack/{victim}/{attack}/{chunk}.tsv"
    wildcard_constraints:
        attack="|".join(CHUNKED),
    priority: 10
    conda:
        "../../envs/gpu.yaml"
    threads: 1
    resources:
        gpu=ONE_GPU,
        mem_mb=memory("attack_chunk"),
        runtime=minutes("attack_chunk"),
    params:
        settings=lambda wildcards: as_params(
            study.attack(wildcards.attack, wildcards.victim).of_chunk(int(wildcards.chunk))
        ),
        revision=lambda wildcards: revision(f"attack.{wildcards.attack}"),
    script:
        "../scripts/attack_chunk.py"


rule gather_chunks:
    input:
        chunks=lambda wildcards: expand(
            rules.attack_chunk.output.outcome,
            victim=wildcards.victim,
            attack=wildcards.attack,
            chunk=study.chunks(wildcards.attack),
        ),
    output:
        outcome="<results>/{victim}/{attack}.h5",
    log:
        "<results>/logs/gather/{victim}/{attack}.log",
    benchmark:
        "<results>/benchmarks/gather/{victim}/{attack}.tsv"
    wildcard_constraints:
        attack="|".join(CHUNKED),
    priority: 10
    conda:
        "../../envs/gpu.yaml"
    threads: 1
    resources:
        mem_mb=memory("gather_chunks"),
        runtime=minutes("gather_chunks"),
    params:
        settings=lambda wildcards: as_params(study.attack(wildcards.attack, wildcards.victim)),
        revision=revision("gather"),
    script:
        "../scripts/gather_chunks.py"

# Reads: the weights of a run and the test images. Writes: what an attack did to each image.


rule attack_run:
    input:
        weights=rules.train_run.output.weights,
        test=rules.import_data.output.test,
    output:
        outcome="<results>/runs/<run>/{attack}.h5",
    log:
        "<results>/logs/attack/<run>/{attack}.log",
    benchmark:
        "<results>/benchmarks/attack/<run>/{attack}.tsv"
    # before further training: AutoAttack is the longest job of a small study and should not come last
    priority: 10
    conda:
        "../../envs/gpu.yaml"
    threads: 1
    resources:
        gpu=config["compute"]["gpus"],
        mem_mb=2000,
        runtime=60,
    params:
        settings=lambda wildcards: as_params(study.attack(wildcards.attack, of_run(wildcards))),
        revision=lambda wildcards: revision(f"attack.{wildcards.attack}"),
    script:
        "../scripts/attack_run.py"

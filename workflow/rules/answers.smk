# Reads: the answers of people, models or made-up participants. Writes: them as one table, what they say of the images and
# of the benchmark, and a page on which visitors try the images themselves.


rule collect_answers:
    input:
        key=rules.make_stimuli.output.key,
        images=lambda wildcards: rules.import_data.output[wildcards.bundle],
        answers=answers_to,
    output:
        table="<results>/humans/{bundle}/answers.parquet",
        csv="<results>/humans/{bundle}/answers.csv",
    log:
        "<results>/logs/humans/{bundle}/answers.log",
    benchmark:
        "<results>/benchmarks/humans/{bundle}/answers.tsv"
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=memory("collect_answers"),
        runtime=minutes("collect_answers"),
    params:
        settings=lambda wildcards: as_params(study.answers(wildcards.bundle)),
        revision=revision("answers"),
    script:
        "../scripts/collect_answers.py"


rule judge_images:
    input:
        answers=rules.collect_answers.output.table,
        key=rules.make_stimuli.output.key,
        record=record_of,
    output:
        accuracy="<results>/humans/{bundle}/accuracy.parquet",
        validity="<results>/humans/{bundle}/validity.parquet",
        benchmark="<results>/humans/{bundle}/benchmark.parquet",
        agreement="<results>/humans/{bundle}/agreement.parquet",
    log:
        "<results>/logs/humans/{bundle}/judging.log",
    benchmark:
        "<results>/benchmarks/humans/{bundle}/judging.tsv"
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=memory("judge_images"),
        runtime=minutes("judge_images"),
    params:
        settings=lambda wildcards: as_params(study.judging(wildcards.bundle)),
        revision=revision("judging"),
    script:
        "../scripts/judge_images.py"


rule draw_quiz:
    input:
        stimuli=expand(rules.make_stimuli.output.stimuli, bundle="test"),
        key=expand(rules.make_stimuli.output.key, bundle="test"),
        answers=expand(rules.collect_answers.output.table, bundle="test"),
        validity=expand(rules.judge_images.output.validity, bundle="test"),
        images=rules.import_data.output.test,
    output:
        page=report("<results>/humans/quiz.html", category="Figures"),
    log:
        "<results>/logs/humans/quiz.log",
    benchmark:
        "<results>/benchmarks/humans/quiz.tsv"
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=memory("draw_quiz"),
        runtime=minutes("draw_quiz"),
    params:
        settings=lambda wildcards: as_params(study.quiz()),
        revision=revision("quiz"),
    script:
        "../scripts/draw_quiz.py"

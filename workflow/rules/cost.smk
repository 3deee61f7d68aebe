# Reads: nothing. Writes: what the study costs and what of it is left, to the terminal and beside the results. It has no
# output that Snakemake knows of: so it runs whenever it is asked for, and nothing can depend on it. While the study is
# running, ask with --nolock: any other Snakemake that ends takes the locks of all with it (9.27).


def staleness_options(wildcards):
    """Return the arguments that let another Snakemake find the same files stale as this one."""
    software = workflow.deployment_settings
    options = ["--rerun-triggers", *sorted(map(str, workflow.rerun_triggers))]
    if software.deployment_method:
        options += ["--software-deployment-method", *sorted(map(str, software.deployment_method))]
    if software.conda_prefix:
        options += ["--conda-prefix", str(software.conda_prefix)]
    return options


rule cost:
    log:
        "<results>/logs/cost.log",
    localrule: True
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        folder=subpath(rules.write_report.output.page, parent=True),
        schema=workflow.source_path("../schemas/config.yaml"),
        snakefile=workflow.main_snakefile,
        options=staleness_options,
    script:
        "../scripts/cost.py"

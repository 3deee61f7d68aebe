from snakemake.utils import min_version


include: "workflow/rules/library.smk"


from robustlaws.attacks import ATTACKS, CHUNKED
from robustlaws.laws import LAWS
from robustlaws.revisions import revision
from robustlaws.settings import as_params
from robustlaws.study import Study

min_version("9.27")


# A study named on the command line replaces the default one; Snakemake would mix the two.
if not workflow.overwrite_configfiles:

    configfile: "config/config.yaml"


include: "workflow/rules/common.smk"
include: "workflow/rules/inputs.smk"


study = checked_study()


pathvars:
    results=f"results/{study.name}",
    run="{model}/{dataset}/{size}/{seed}",


wildcard_constraints:
    model=r"[^/]+",
    checkpoint=r"[^/]+",
    dataset=r"[^/]+",
    generator=r"[^/]+",
    size=r"\d+",
    seed=r"\d+",
    shard=r"\d{5}",
    chunk=r"\d{5}",
    victim=r"runs/[^/]+/[^/]+/\d+/\d+|checkpoints/[^/]+",
    attack="|".join(ATTACKS),
    law="|".join(LAWS),


for (
    stage
) in "needs data generate guidance quality train interop attack humans judging collect laws figures published plan provenance report cost".split():

    include: f"workflow/rules/{stage}.smk"


rule all:
    default_target: True
    input:
        rules.write_report.output.page,
        rules.plan.output.page,
        rules.collect_provenance.output.crate,

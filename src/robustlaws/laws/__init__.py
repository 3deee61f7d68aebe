"""Scaling laws fitted to a study's runs. Nothing here imports torch."""

LAWS = {
    "envelope": "robustlaws.laws.envelope:fit",
    "additive": "robustlaws.laws.additive:fit",
    "additive_two_stage": "robustlaws.laws.two_stage:fit",
    "bottleneck": "robustlaws.laws.bottleneck:fit",
}

# Those that give a loss L(N, D, FID), as `form.Form`.
FORMS = {
    "additive": "robustlaws.laws.additive:FORM",
    "additive_two_stage": "robustlaws.laws.two_stage:FORM",
    "bottleneck": "robustlaws.laws.bottleneck:FORM",
}

# Their parameters, for those who check a name without loading the law.
PARAMETERS = {
    "additive": ("A", "B", "E", "alpha", "beta", "eps", "zeta"),
    "additive_two_stage": ("A", "B", "E", "alpha", "beta", "eps", "zeta"),
    "bottleneck": ("A", "B", "E", "Q", "alpha", "beta", "kappa", "eps"),
}

"""Constants of the publication: "Adversarial Robustness Limits via Scaling-Law and Human-Alignment
Studies" (ICML 2024), digits from its released fits (`spec/laws.md`); read-only.
"""

FLOPS_PER_PARAMETER_IMAGE = 7822.0  # FLOPs = 7822 N D, within 1% for each of its networks

ADDITIVE_BASE_FID = 1.65  # DG, the dataset of the first stage
# Approach 2 as printed: B and E are those at the base FID (appendix F.2.1).
ADDITIVE_AT_BASE = {
    "A": 6.686980024164729,
    "B": 7.551688897933183,
    "E": 0.5603731625795364,
    "alpha": 0.24434519315396275,
    "beta": 0.2281458937440602,
    "eps": 0.15552449537214338,
    "zeta": -0.2767735799358655,
}
# The same law with B and E at FID 0, as `additive.loss` takes them: 9.8898 and 0.48156.
ADDITIVE = ADDITIVE_AT_BASE | {
    "B": ADDITIVE_AT_BASE["B"] * (1 + ADDITIVE_BASE_FID) ** -ADDITIVE_AT_BASE["zeta"],
    "E": ADDITIVE_AT_BASE["E"] * (1 + ADDITIVE_BASE_FID) ** -ADDITIVE_AT_BASE["eps"],
}

# Approach 3 (appendix F.3.1); A and B are where its search started.
BOTTLENECK = {
    "A": 6.00080741,
    "B": 7000.0,
    "E": 0.515022255,
    "Q": 0.00659350845,
    "alpha": 0.241841188,
    "beta": 0.217406245,
    "kappa": 0.604209556,
    "eps": 0.0357334903,
}

# Adversarial accuracy = intercept + slope L, through the DG runs (appendix F.2.2).
ACCURACY_LINE = {"intercept": 1.2574949163, "slope": -0.7495829295}

# Starting points (appendices F.2.1 and F.3.1); a, b, e are natural logs of A, B, E.
ADDITIVE_STARTS = {
    "a": (0.0, 1.0, 2.0, 5.0, 10.0),
    "b": (0.0, 1.0, 2.0, 5.0, 10.0),
    "e": (-1.0, -0.5, 0.0, 0.5, 1.0),
    "alpha": (0.0, 0.1, 0.25, 0.5, 1.0),
    "beta": (0.0, 0.1, 0.25, 0.5, 1.0),
}
QUALITY_STARTS = {"zeta": (-0.3, -0.15, 0.15, 0.3), "eps": (0.01, 0.1, 0.2)}
BOTTLENECK_STARTS = {
    "A": (5.0, 6.0, 7.0),
    "B": (6500.0, 7000.0, 7500.0),
    "E": (0.6, 0.5),
    "Q": (0.01, 0.5),
    "alpha": (0.1, 0.2, 0.3),
    "beta": (0.1, 0.2, 0.3),
    "kappa": (0.8, 0.6),
    "eps": (0.01,),
}

# Runs that the fits of approaches 2 and 3 leave out, as `LawFit.small_on_large`.
SMALL_ON_LARGE = {"params_below": 1e8, "images_above": 1e7, "fid_below": 10.0}

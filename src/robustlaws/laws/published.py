"""Constants and tables of the published study; read-only.

Source: "Adversarial Robustness Limits via Scaling-Law and Human-Alignment Studies" (ICML 2024), with more digits where
its released fits have them (`spec/laws.md`).
"""

FLOPS_PER_PARAMETER_IMAGE = 7822.0  # FLOPs = 7822 N D, within 1% for each of its networks

# Table 1: generators of the training data, and the FID of their images.
GENERATORS = {
    "EDM-5": {"generator": "EDM", "steps": 5, "fid": 35.54},
    "EDM-6": {"generator": "EDM", "steps": 6, "fid": 14.26},
    "EDM-7": {"generator": "EDM", "steps": 7, "fid": 6.79},
    "EDM-10": {"generator": "EDM", "steps": 10, "fid": 2.48},
    "EDM-20": {"generator": "EDM", "steps": 20, "fid": 1.82},
    "PFGM++": {"generator": "PFGM++", "steps": 18, "fid": 1.76},
    "DG": {"generator": "DG", "steps": 20, "fid": 1.65},
}
# Table 2: WideResNets, N as printed in millions.
MODELS = {
    "wrn-28-4": {"depth": 28, "width": 4, "params_millions": 6},
    "wrn-40-4": {"depth": 40, "width": 4, "params_millions": 9},
    "wrn-82-4": {"depth": 82, "width": 4, "params_millions": 20},
    "wrn-28-12": {"depth": 28, "width": 12, "params_millions": 53},
    "wrn-58-12": {"depth": 58, "width": 12, "params_millions": 122},
    "wrn-82-12": {"depth": 82, "width": 12, "params_millions": 178},
    "wrn-70-16": {"depth": 70, "width": 16, "params_millions": 267},
    "wrn-82-16": {"depth": 82, "width": 16, "params_millions": 316},
}
# Table 3: exponents a, b of N* and D*, the loss L* at 1e25 FLOPs and the limit E', by law and FID (1.76: PFGM++).
APPROACHES_FLOPS = 1e25
APPROACHES = {
    "envelope": {1.76: {"a": 0.56, "b": 0.43, "loss": 0.50}},
    "additive": {
        1.76: {"a": 0.48, "b": 0.52, "loss": 0.61, "limit": 0.56},
        0.0: {"a": 0.48, "b": 0.52, "loss": 0.53, "limit": 0.48},
    },
    "bottleneck": {
        1.76: {"loss": 0.63, "limit": 0.55},
        0.0: {"a": 0.47, "b": 0.53, "loss": 0.56, "limit": 0.52},
    },
}

# Approach 1 (section 3.2.1 and figure 3): L* = coefficient F^exponent, N* ~ F^a, D* ~ F^b.
ENVELOPE = {
    "PFGM++": {"coefficient": 3.79, "exponent": -0.035, "a": 0.56, "b": 0.43},
    "EDM-5": {"a": 0.73, "b": 0.27},
}

ADDITIVE_BASE = "DG"  # the dataset of the first stage
ADDITIVE_QUALITY = ("EDM-7", "EDM-10", "EDM-20")  # those of the second (section 3.2.2)
ADDITIVE_BASE_FID = 1.65  # DG
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
# Fitted to small models on large data too (appendix F.2.1), at FID 0.
ADDITIVE_ALL_RUNS = {"A": 7.6, "B": 9.70, "E": 0.49, "alpha": 0.25, "beta": 0.23, "eps": 0.14, "zeta": -0.25}

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
ACCURACY_R2 = 0.98

# Human study (section 4): 2,629 of the 10,000 test images fooled the best network, 727 of them no longer show their
# class.
HUMAN_ACCURACY = 0.9046  # of the average human on all images
HUMAN_ACCURACY_VALID = 0.9646  # on those that still show their class
HUMAN_FLOPS = 1e30  # "roughly" what reaching humans takes with unlimited real data (section 1)

# Budgets, FLOPs: of the best run whose loss is known (WRN-82-16 on 307.2M images, some of them real), and of the
# best network before the study (WRN-70-16, Wang et al. 2023; figure 7).
BEST_FLOPS = 7.636654e20
PRIOR_FLOPS = 2.1e20

HUBER_DELTA = 0.001  # of log loss (appendix F.2.1)

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

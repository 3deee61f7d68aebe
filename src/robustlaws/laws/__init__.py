"""Scaling laws fitted to a study's runs. Nothing here imports torch."""

LAWS = {
    "envelope": "robustlaws.laws.envelope:fit",
    "additive": "robustlaws.laws.additive:fit",
    "bottleneck": "robustlaws.laws.bottleneck:fit",
}

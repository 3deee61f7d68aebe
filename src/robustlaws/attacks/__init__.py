"""Attacks on trained networks. A new one is its module, a line in ATTACKS, its settings and its block of the schema."""

ATTACKS = {
    "pgd_cw": "robustlaws.attacks.pgd:pgd_cw",
    "autoattack": "robustlaws.attacks.autoattack:attack_chunk",
}
# Those whose function attacks one chunk of the images, a job each; the others attack all in one job.
CHUNKED = ("autoattack",)

# The attacks behind each version of AutoAttack, in the order in which the package runs them.
AUTOATTACK = {
    "standard": ("apgd-ce", "apgd-t", "fab-t", "square"),
    "plus": ("apgd-ce", "apgd-dlr", "fab", "square", "apgd-t", "fab-t"),
}
# Those that need so many classes: nine targets beside the true class, three logits in the DLR loss.
AUTOATTACK_CLASSES = {"apgd-t": 10, "fab-t": 10, "apgd-dlr": 3}

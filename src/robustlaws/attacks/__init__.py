"""Attacks on trained networks. A new one is its module, a line in ATTACKS, its settings and its block of the schema."""

ATTACKS = {
    "pgd_cw": "robustlaws.attacks.pgd:pgd_cw",
    "autoattack": "robustlaws.attacks.autoattack:attack_chunk",
}
# Those whose function attacks one chunk of the images, a job each; the others attack all in one job.
CHUNKED = ("autoattack",)

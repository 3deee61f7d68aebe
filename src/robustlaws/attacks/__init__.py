"""Attacks on trained networks."""

ATTACKS = {
    "pgd_cw": "robustlaws.attacks.pgd:pgd_cw",
    "autoattack": "robustlaws.attacks.autoattack:autoattack",
}

"""Attacks on trained networks."""

from dataclasses import dataclass

from robustlaws import registry


@dataclass(frozen=True)
class Attack(registry.Entry):
    """An attack: function(weights_path, test_path, outcome_path, settings, compute) that writes a `record`.

    Attributes
    ----------
    settings : str
        Class of its settings, as "module:attribute"; nothing that it imports may import torch.
    chunked : bool
        Whether the function attacks one chunk of the images, a job each (`chunk`, `state_path`); others attack all
        images in one job.
    """

    settings: str = "robustlaws.settings:Attack"
    chunked: bool = False

    @property
    def settings_class(self) -> type:
        """The class of the settings."""
        return registry.resolve(self.settings)


ATTACKS = {
    "pgd_cw": Attack("robustlaws.attacks.pgd:pgd_cw", "robustlaws.settings:PgdCw"),
    "autoattack": Attack("robustlaws.attacks.autoattack:attack_chunk", "robustlaws.settings:AutoAttack", chunked=True),
}
CHUNKED = tuple(name for name, attack in ATTACKS.items() if attack.chunked)

"""Scaling laws fitted to a study's runs. Imports no torch."""

from dataclasses import dataclass

from robustlaws.registry import Entry


@dataclass(frozen=True)
class Law(Entry):
    """A law: function(runs, curves, settings) -> `determination.Law`.

    Attributes
    ----------
    parameters : tuple of str
        Of a form L(N, D, FID), which the module of the law has as `FORM` (`form.Form`); () for a law of another kind.
    settings : tuple of str
        Of those keys of the config's `laws:` that only some laws know (`recipe`, `points`, `two_stage`), its own.
    """

    parameters: tuple[str, ...] = ()

    settings: tuple[str, ...] = ()


_ADDITIVE = ("A", "B", "E", "alpha", "beta", "eps", "zeta")

# Laws are fitted and shown in this order.
LAWS = {
    "envelope": Law("robustlaws.laws.envelope:fit", settings=("points",)),
    "additive": Law("robustlaws.laws.additive:fit", _ADDITIVE, ("recipe",)),
    "additive_two_stage": Law("robustlaws.laws.two_stage:fit", _ADDITIVE, ("recipe", "two_stage")),
    "bottleneck": Law(
        "robustlaws.laws.bottleneck:fit", ("A", "B", "E", "Q", "alpha", "beta", "kappa", "eps"), ("recipe",)
    ),
}

PARAMETERS = {name: law.parameters for name, law in LAWS.items() if law.parameters}
FORMS = {name: f"{LAWS[name].target.partition(':')[0]}:FORM" for name in PARAMETERS}

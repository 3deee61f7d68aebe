"""What makes an output stale must not depend on how a config is spelt."""

from dataclasses import dataclass

import pytest

from robustlaws.laws import PARAMETERS
from robustlaws.planning.proposal import QUANTITIES
from robustlaws.settings import Settings, Threat, as_params, neutral, plan


@dataclass(frozen=True)
class Example(Settings):
    rate: float
    count: int
    widths: tuple[int, ...]
    threat: Threat
    extra: str | None = neutral(None)


def example(**changes):
    given = {"rate": 5, "count": 3, "widths": [1, 2], "threat": {"norm": "Linf", "epsilon": 1}}
    return Example(**(given | changes))


def test_the_params_do_not_depend_on_spelling_or_order():
    turned = Example(
        **dict(reversed(list({"rate": 5.0, "count": 3.0, "widths": (1, 2), "threat": Threat("Linf", 1.0)}.items())))
    )
    assert repr(as_params(example())) == repr(as_params(turned))
    assert repr(as_params(example())) == (
        "{'rate': 5.0, 'count': 3, 'widths': (1, 2), 'threat': {'norm': 'Linf', 'epsilon': 1.0}}"
    )


def test_a_changed_value_changes_the_params():
    assert repr(as_params(example())) != repr(as_params(example(rate=6)))


def test_a_neutral_setting_is_left_out_until_it_is_used():
    assert "extra" not in as_params(example())
    assert as_params(example(extra="on"))["extra"] == "on"


@pytest.mark.parametrize("changes", [{"rate": "5"}, {"count": 2.5}, {"count": True}, {"widths": 3}, {"threat": 3}])
def test_a_value_of_another_type_is_refused(changes):
    with pytest.raises(ValueError, match=next(iter(changes))):
        example(**changes)


def test_settings_survive_the_way_through_snakemake():
    assert Example(**as_params(example())) == example()


def test_plan_quantities_are_those_of_the_planner():
    parameters = {name for names in PARAMETERS.values() for name in names}
    assert {*plan.QUANTITIES, *parameters} == set(QUANTITIES)

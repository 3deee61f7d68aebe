"""The forms themselves: optimum, exponents, overhead and limits, against numeric answers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from robustlaws import registry
from robustlaws.laws import FORMS as LOADED
from robustlaws.laws import PARAMETERS, additive, bottleneck, published

K = 8000.0
FORMS = {"additive": additive, "bottleneck": bottleneck}
POWER = st.floats(0.08, 0.9)
BUDGET = st.floats(14, 26)
FID = st.one_of(st.just(0.0), st.floats(0.3, 60))
pytestmark = pytest.mark.filterwarnings("error")


def parameters_of(form, alpha, beta, other, size):
    """Parameters around the published ones; `other` and `size` in [0, 1]."""
    if form is additive:
        return {
            "A": 20 * size + 1,
            "B": 10.0,
            "E": 0.5,
            "alpha": alpha,
            "beta": beta,
            "eps": other / 3,
            "zeta": other - 0.5,
        }
    parameters = {"A": 20 * size + 1, "B": 100.0, "E": 0.5, "Q": 0.001 + size / 50, "kappa": 0.2 + other}
    return parameters | {"alpha": alpha, "beta": beta, "eps": 0.04}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@given(alpha=POWER, beta=POWER, other=st.floats(0, 1), size=st.floats(0, 1), budget=BUDGET, fid=FID)
@settings(max_examples=60, deadline=None, derandomize=True)
def test_the_optimum_is_the_numeric_minimum(form, alpha, beta, other, size, budget, fid):
    parameters = parameters_of(form, alpha, beta, other, size)
    flops = 10.0**budget
    params, images = form.optimum(parameters, flops, fid, K)
    assert K * params * images == pytest.approx(flops, rel=1e-9)

    def along(log_params):
        return form.loss(parameters, np.exp(log_params), flops / K / np.exp(log_params), fid)

    centre = np.log(params)
    result = minimize_scalar(along, bracket=(centre - 2, centre + 0.1, centre + 2), tol=1e-10)
    assert along(centre) <= result.fun * (1 + 1e-13)
    slope = (along(centre + 1e-4) - along(centre - 1e-4)) / 2e-4
    bend = (along(centre + 1e-2) + along(centre - 1e-2) - 2 * along(centre)) / 1e-4
    assert abs(slope) < 1e-5 * bend + 1e-10


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@given(alpha=POWER, beta=POWER, other=st.floats(0, 1), size=st.floats(0, 1), budget=BUDGET, fid=FID)
@settings(max_examples=40, deadline=None, derandomize=True)
def test_exponents_are_the_slopes_of_the_optimum(form, alpha, beta, other, size, budget, fid):
    parameters = parameters_of(form, alpha, beta, other, size)
    given_exponents = form.exponents(parameters) if form is additive else form.exponents(parameters, 10**budget, fid, K)
    step = 1e-4
    ends = [form.optimum(parameters, 10**budget * np.exp(way * step), fid, K) for way in (-1, 1)]
    for index, exponent in enumerate(given_exponents):
        slope = np.log(ends[1][index] / ends[0][index]) / (2 * step)
        assert exponent == pytest.approx(slope, abs=1e-6)


@given(ratio=st.floats(0.2, 8.0), budget=BUDGET, fid=FID)
@settings(max_examples=60, deadline=None, derandomize=True)
def test_overhead_reaches_the_same_loss(ratio, budget, fid):
    parameters = published.ADDITIVE
    params, images = additive.optimum(parameters, 10**budget, fid, K)
    data_ratio, overhead = additive.overhead(parameters, ratio)
    # spec/laws.md: the general formula with the terms at the optimum
    of_params = parameters["A"] * params ** -parameters["alpha"]
    of_images = parameters["B"] * (1 + fid) ** parameters["zeta"] * images ** -parameters["beta"]
    bracket = 1 - (ratio ** -parameters["alpha"] - 1) * of_params / of_images
    assert data_ratio == pytest.approx(bracket ** (-1 / parameters["beta"]), rel=1e-8)
    assert overhead == pytest.approx(ratio * data_ratio - 1, abs=1e-12)
    assert overhead >= -1e-9
    same = additive.loss(parameters, params, images, fid)
    assert additive.loss(parameters, ratio * params, data_ratio * images, fid) == pytest.approx(same, rel=1e-9)


def test_no_data_makes_up_for_a_model_too_small():
    parameters = published.ADDITIVE
    smallest = (1 + parameters["alpha"] / parameters["beta"]) ** (-1 / parameters["alpha"])
    data_ratio, overhead = additive.overhead(parameters, np.array([0.99 * smallest, 1.0]))
    assert np.isinf([data_ratio[0], overhead[0]]).all()
    assert data_ratio[1] == 1
    assert overhead[1] == 0


def test_the_forms_are_one_at_fid_0():
    """L = A/N^alpha + B^beta/D^beta + E: approach 2 with its B equal to B^beta."""
    parameters = published.BOTTLENECK
    same = parameters | {"B": parameters["B"] ** parameters["beta"], "zeta": -0.3}
    params, images = np.array([6e6, 3e8]), np.array([1e7, 3e8])
    assert np.allclose(bottleneck.loss(parameters, params, images, 0.0), additive.loss(same, params, images, 0.0))
    for flops in (1e18, 1e25):
        assert np.allclose(bottleneck.optimum(parameters, flops, 0.0, K), additive.optimum(same, flops, 0.0, K))


def test_the_bottleneck_by_hand():
    parameters = {"A": 8.0, "B": 100.0, "E": 0.5, "Q": 0.02, "alpha": 0.5, "beta": 0.5, "kappa": 1.0, "eps": 0.1}
    # 8/4 + (100/10000 + (0.02 * 3)^2)^0.5 + 0.5 + 0.1 log 4
    expected = 2 + np.sqrt(0.01 + 0.0036) + 0.5 + 0.1 * np.log(4)
    assert bottleneck.loss(parameters, 16.0, 1e4, 3.0) == pytest.approx(expected, rel=1e-12)
    assert bottleneck.asymptote(parameters, 3.0) == pytest.approx(0.06 + 0.5 + 0.1 * np.log(4), rel=1e-12)


def test_the_additive_law_by_hand():
    parameters = {"A": 8.0, "B": 30.0, "E": 0.5, "alpha": 0.5, "beta": 0.25, "eps": 0.5, "zeta": -1.0}
    # 8/4 + 30/4 / 10 + 0.5 * 2
    assert additive.loss(parameters, 16.0, 1e4, 3.0) == pytest.approx(2 + 0.75 + 1.0, rel=1e-12)
    assert additive.asymptote(parameters, 3.0) == pytest.approx(1.0, rel=1e-12)


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_laws_take_arrays(form):
    parameters = published.ADDITIVE if form is additive else published.BOTTLENECK
    flops, fid = np.geomspace(1e18, 1e24, 4)[:, None], np.array([0.0, 1.65, 35.54])
    params, images = form.optimum(parameters, flops, fid, K)
    assert params.shape == images.shape == (4, 3)
    for row, column in ((0, 0), (3, 2)):
        alone = form.optimum(parameters, flops[row, 0], fid[column], K)
        assert np.allclose((params[row, column], images[row, column]), alone, rtol=1e-9)


def test_the_names_of_parameters_are_those_of_the_laws():
    assert {name: tuple(registry.load(name, LOADED).judges) for name in LOADED} == PARAMETERS

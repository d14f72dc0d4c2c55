"""People who are not who they say, beside devices: what is a finding, and a small crowd."""

from dataclasses import replace

import pytest

from crdt_bench.campaign.impostors import Met, Sizes, crowd

pytestmark = pytest.mark.usefixtures("forked_children")

_CALM = Met((0.01, 0.02), (0.02, 0.03), (0.5,), 0, 0, {"proof_invalid": 3})


def test_a_crowd_that_nobody_feels_breaks_no_promise():
    assert _CALM.findings() == []
    assert replace(_CALM, beside=(0.039, 0.039)).findings() == []


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ({"beside": (0.1, 0.1)}, "p99 beside impostors 100 ms, before 20 ms"),
        ({"beside": (0.01, None)}, "not all pushes were acknowledged"),
        ({"beside": ()}, "not all pushes were acknowledged"),
        ({"returned": (0.1, None)}, "a device did not come in again"),
        ({"refused": 1}, "1 pushes or hellos of devices were refused"),
        ({"thrown_out": 2}, "devices were thrown out 2 times"),
        ({"impostors": {"let in": 1}}, "1 impostors were let in"),
        ({"impostors": {}}, "no impostor came: nothing was tried"),
    ],
)
def test_a_promise_that_is_broken_is_a_finding(broken, said):
    assert replace(_CALM, **broken).findings() == [said]


def test_a_small_crowd_is_let_in_where_it_may_be_and_nobody_else():
    met = crowd(1, Sizes(devices=2, impostors=8, calm_s=0.5, beside_s=2.0))
    assert (met.refused, met.thrown_out, None in (*met.before, *met.beside, *met.returned)) == (0, 0, False)
    assert len(met.returned) == 2
    assert "let in" not in met.impostors
    assert met.impostors

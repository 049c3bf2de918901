import math

from pilothouse.commands import samples

BEFORE = 'a_total{code="200",verb="GET"} 5\nx 1\nb_total 9\n'
NOW = """# HELP a_total Requests.
# TYPE a_total counter
a_total{code="200",verb="GET"} 7
a_total{code="404",verb="GET"} 3
a_total{code="200",verb="a\\"b"} 1
b_total 4
t_bucket{verb="GET",le="1"} 5
t_bucket{verb="GET",le="2"} 10
t_bucket{verb="GET",le="+Inf"} 10
"""


def test_what_two_readings_say() -> None:
    more = samples.gained(samples.parse(NOW), samples.parse(BEFORE))
    assert samples.by(more, "a_total", lambda labels: labels["verb"]) == {"GET": 5, 'a\\"b': 1}
    assert samples.by(more, "a_total", lambda labels: labels["code"] if labels["code"] > "3" else None) == {
        "404": 3
    }
    assert samples.total(more, "b_total") == 4, "it was reset"
    assert samples.total(more, "none") == 0


def test_quantiles() -> None:
    found = samples.buckets(samples.parse(NOW), "t", lambda labels: labels["verb"])["GET"]
    assert samples.quantile(0.5, found) == 1
    assert samples.quantile(0.75, found) == 1.5
    assert samples.quantile(0.5, {1.0: 0, math.inf: 3}) == 1, "no more is known than the last bound"
    assert math.isnan(samples.quantile(0.5, {}))

"""Metrics in the text format, with labels that nobody can make up."""

from master.instruments import Durations, Meters, by, family, gauge


def test_labels_are_escaped_as_the_format_wants():
    text = family("m", "gauge", "Words.", [("", {"a": 'x"\\\n'}, 1.5)])
    assert text == '# HELP m Words.\n# TYPE m gauge\nm{a="x\\"\\\\\\n"} 1.5\n'


def test_a_histogram_adds_up():
    took = Durations()
    for seconds in (0.001, 0.005, 0.3, 1000):
        took.add(seconds)
    found = [(suffix, labels.get("le"), value) for suffix, labels, value in took.samples({})]
    assert found[0] == ("_bucket", "0.005", 2)
    assert found[-3:] == [("_bucket", "+Inf", 4), ("_sum", None, 1000.306), ("_count", None, 4)]


def test_a_method_that_is_none_makes_no_label():
    meters = Meters()
    meters.served("BREW", "none", 405, 0.1)
    assert 'method="other"' in "".join(meters.families())


def test_a_gauge_has_its_value_even_when_it_is_large():
    assert gauge("m", "w", 9_999_999_999).endswith("m 9999999999\n")
    assert by("m", "w", ("a", "b"), {("1", "2"): 3}).endswith('m{a="1",b="2"} 3\n')

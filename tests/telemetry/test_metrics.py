"""Metrics say what happened, in Prometheus' words, and cost next to nothing."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from bot.telemetry.instruments import Histogram
from bot.telemetry.metrics import Metrics


def samples(metrics: Metrics) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    text, content_type = metrics.render()
    assert content_type.startswith("text/plain; version=")
    return {
        (sample.name, tuple(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def test_counters_and_gauges_are_shown_with_their_labels() -> None:
    """What was counted and set is what a scrape sees."""
    metrics = Metrics()
    accepted = metrics.accepted.of("web")
    accepted.inc()
    accepted.inc(2)
    metrics.channel_up.of("slack").set(1)
    metrics.store_up.of().set(1)
    seen = samples(metrics)
    assert seen["frontdesk_messages_accepted_total", (("channel", "web"),)] == 3
    assert seen["frontdesk_channel_up", (("channel", "slack"),)] == 1
    assert seen["frontdesk_store_up", ()] == 1


def test_a_reading_is_taken_at_every_scrape() -> None:
    """A family can be read from elsewhere; a label that is no longer read falls to zero instead of standing still."""
    metrics = Metrics()
    rows = {"planned": 3, "unknown": 1}
    metrics.outbox.read_from(lambda: rows)
    metrics.open_sockets.read_from(lambda: 7)
    assert samples(metrics)["frontdesk_outbox_messages", (("state", "unknown"),)] == 1
    del rows["unknown"]
    seen = samples(metrics)
    assert seen["frontdesk_outbox_messages", (("state", "unknown"),)] == 0
    assert seen["frontdesk_outbox_messages", (("state", "planned"),)] == 3
    assert seen["frontdesk_open_sockets", ()] == 7


@given(st.lists(st.floats(0, 200, allow_nan=False)))
def test_a_histogram_counts_every_value_once(values: list[float]) -> None:
    """Each bucket holds exactly the values up to its bound, and the last one all."""
    histogram = Histogram((0.1, 1.0, 10.0))
    for value in values:
        histogram.observe(value)
    expected = [(str(bound), sum(v <= bound for v in values)) for bound in histogram.bounds]
    assert list(histogram.buckets()) == [*expected, ("+Inf", len(values))]
    assert histogram.total == pytest.approx(sum(values))


def test_histograms_are_shown() -> None:
    """A scrape sees a histogram's buckets, count and sum."""
    metrics = Metrics()
    metrics.ack_seconds.observe(0.003)
    seen = samples(metrics)
    assert seen["frontdesk_ack_seconds_bucket", (("le", "0.0025"),)] == 0
    assert seen["frontdesk_ack_seconds_bucket", (("le", "0.005"),)] == 1
    assert seen["frontdesk_ack_seconds_count", ()] == 1
    assert seen["frontdesk_ack_seconds_sum", ()] == 0.003


def test_what_has_no_labels_is_shown_from_the_start() -> None:
    """An alert on a metric that never moved finds it at zero, not missing."""
    seen = samples(Metrics())
    assert seen["frontdesk_loop_stalls_total", ()] == 0
    assert seen["frontdesk_turn_seconds_count", ()] == 0


def test_wrong_labels_are_refused() -> None:
    """A label forgotten in the code fails where it is forgotten."""
    with pytest.raises(ValueError, match="channel"):
        Metrics().accepted.of()


def test_two_houses_in_one_process_count_apart() -> None:
    """Nothing is counted in a registry that the process shares."""
    first, second = Metrics(), Metrics()
    first.incidents.of("stall").inc()
    assert samples(first)["frontdesk_incidents_total", (("kind", "stall"),)] == 1
    assert ("frontdesk_incidents_total", (("kind", "stall"),)) not in samples(second)


def test_the_process_itself_is_measured() -> None:
    """Memory and open files of the process are part of a scrape."""
    seen = samples(Metrics())
    assert seen["process_resident_memory_bytes", ()] > 1_000_000
    assert seen["process_open_fds", ()] > 0


def test_counting_does_not_import_prometheus() -> None:
    """The start does not pay for a library that only the first scrape needs."""
    program = (
        "import sys; from bot.telemetry.metrics import Metrics; m = Metrics(); m.turns.of('answered').inc(); "
        "assert 'prometheus_client' not in sys.modules; m.render(); assert 'prometheus_client' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)

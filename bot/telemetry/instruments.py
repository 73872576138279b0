"""What counts and times: plain numbers, so that the loop may use them thousands of times a second.

A counter costs a tenth of a microsecond and a histogram two tenths; prometheus-client's own take about half a microsecond
each, behind a lock. prometheus-client only renders these, and is imported at the first scrape. Each instrument is written
from one thread.

Call `of(...)` once, where an object is built, and keep what it returns: `self._accepted = metrics.accepted.of("web")`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily


class Number:
    """One value."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value: float = 0


class Counter(Number):
    """Only grows."""

    __slots__ = ()

    def inc(self, by: int = 1) -> None:
        self.value += by


class Gauge(Number):
    """Goes up and down."""

    __slots__ = ()

    def set(self, value: float) -> None:
        self.value = value


class Histogram:
    """How often a value fell into each bucket. `bounds` are the buckets' upper ends, included, in rising order."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def buckets(self) -> Iterator[tuple[str, float]]:
        """As Prometheus has them: each counts everything up to its bound."""
        so_far = 0
        for bound, count in zip([*map(str, self.bounds), "+Inf"], self.counts, strict=True):
            so_far += count
            yield bound, so_far


I = TypeVar("I", bound=Number | Histogram)  # noqa: E741  an instrument
N = TypeVar("N", bound=Number)
Reading = Callable[[], float | Mapping[str, float]]


class Family(Generic[I]):
    """All instruments of one metric: one for each combination of its labels' values."""

    def __init__(self, name: str, what: str, make: Callable[[], I], labels: tuple[str, ...] = ()) -> None:
        self.name = name
        self.what = what
        self.labels = labels
        self.children: dict[tuple[str, ...], I] = {}
        self._make = make
        if not labels:
            self.of()  # so that it is shown from the start

    def of(self, *values: str) -> I:
        """The instrument for these label values, made on first use. Labels are few and ours, never what people wrote."""
        found = self.children.get(values)
        if found is None:
            if len(values) != len(self.labels):
                raise ValueError(f"{self.name} has the labels {self.labels}, not {values}")
            found = self.children.setdefault(values, self._make())
        return found


class Numbers(Family[N]):
    """A family that can also be read from somewhere else at every scrape."""

    _reading: Reading | None = None

    def read_from(self, reading: Reading) -> None:
        """`reading` gives a number, or one for each value of the only label. It runs on the loop and must not block."""
        self._reading = reading

    def refresh(self) -> None:
        if self._reading is None:
            return
        read = self._reading()
        values: dict[tuple[str, ...], float] = (
            {(label,): value for label, value in read.items()} if isinstance(read, Mapping) else {(): read}
        )
        for labels in self.children.keys() | values.keys():
            self.of(*labels).value = values.get(labels, 0)


class Counters(Numbers[Counter]):
    def shown(self) -> CounterMetricFamily:
        from prometheus_client.core import CounterMetricFamily

        self.refresh()
        family = CounterMetricFamily(self.name, self.what, labels=self.labels)
        for labels, counter in self.children.items():
            family.add_metric(labels, counter.value)
        return family


class Gauges(Numbers[Gauge]):
    def shown(self) -> GaugeMetricFamily:
        from prometheus_client.core import GaugeMetricFamily

        self.refresh()
        family = GaugeMetricFamily(self.name, self.what, labels=self.labels)
        for labels, gauge in self.children.items():
            family.add_metric(labels, gauge.value)
        return family


class Histograms(Family[Histogram]):
    def shown(self) -> HistogramMetricFamily:
        from prometheus_client.core import HistogramMetricFamily

        family = HistogramMetricFamily(self.name, self.what, labels=self.labels)
        for labels, histogram in self.children.items():
            family.add_metric(labels, list(histogram.buckets()), histogram.total)
        return family

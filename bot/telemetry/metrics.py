"""Every metric of the house, and `/metrics`. Their names are a promise, kept in docs/operations.md."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from bot.telemetry.instruments import Counter, Counters, Gauge, Gauges, Histogram, Histograms

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from prometheus_client.core import Metric

SHORT_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
LONG_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
SIZES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0)


class Metrics:
    """Built once, in `app`. What has labels is a family (`metrics.accepted.of("web")`), the rest is ready to use."""

    def __init__(self) -> None:
        self.families: list[Counters | Gauges | Histograms] = []
        self._registry: CollectorRegistry | None = None

        self.accepted = self._counters("messages_accepted", "Messages durably stored.", "channel")
        self.duplicates = self._counters("messages_duplicate", "Events that came again and changed nothing.", "channel")
        self.ack_seconds = self._histogram("ack_seconds", "From an event's arrival to its commit.", SHORT_S)
        self.inbox_waiting = self._gauges("inbox_waiting", "Conversations with messages that wait for a turn.")

        self.turns = self._counters("turns", "Turns that ended, by how.", "outcome")
        self.turn_seconds = self._histogram("turn_seconds", "From a turn's start to its commit.", LONG_S)
        self.first_token_seconds = self._histogram(
            "first_token_seconds", "From a turn's start to the first text of its answer.", LONG_S
        )
        self.held_answers = self._counters(
            "held_answers", "Answers held back, by why and what came of it.", "why", "outcome"
        )
        self.incidents = self._counters("incidents", "Incidents recorded, by kind.", "kind")
        self.handoffs = self._counters("handoffs", "Handoffs to people begun, by what asked for them.", "origin")
        self.missed = self._counters("missed", "Promises of handoffs that were missed, by kind.", "kind")

        self.model_calls = self._counters("model_calls", "Calls of a model, by how they ended.", "model", "outcome")
        self.model_seconds = self._histograms("model_seconds", "From a call of a model to its end.", LONG_S, "model")
        self.model_tokens = self._counters("model_tokens", "Tokens that models used, by kind.", "model", "kind")
        self.model_cost = self._counters("model_cost", "What models cost, in millionths of the currency.", "model")
        self.model_circuit_open = self._gauges("model_circuit_open", "1 while a model is left alone.", "model")
        self.model_waiting = self._gauges("model_waiting", "Calls that wait for a model's limits.", "model")

        self.outbox = self._gauges("outbox_messages", "Outbound messages not done with, by state.", "state")
        self.open_sockets = self._gauges(
            "open_sockets", "Connections open on the public listener, chat sockets among them."
        )
        self.channel_up = self._gauges("channel_up", "1 while the channel works.", "channel")

        self.store_up = self._gauges("store_up", "1 while the store takes units of work.")
        self.group_units = self._histogram("writer_group_units", "Units of work in one commit.", SIZES)
        self.commit_seconds = self._histogram("writer_commit_seconds", "One group's commit with its fsync.", SHORT_S)

        self.loop_lag_seconds = self._histogram("loop_lag_seconds", "How late the event loop ran a timer.", SHORT_S)
        self.loop_stalls = self._counters("loop_stalls", "Times the event loop stood still for long.")
        self.log_dropped = self._counters("log_entries_dropped", "Log entries lost to a slow or broken stderr.")

    def render(self) -> tuple[bytes, str]:
        """The text of `/metrics` and its content type. Called on the loop; takes about a millisecond."""
        from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

        return generate_latest(self._collected()), CONTENT_TYPE_LATEST

    def collect(self) -> Iterable[Metric]:
        """What prometheus-client asks of a collector."""
        return [family.shown() for family in self.families]

    def _collected(self) -> CollectorRegistry:
        from prometheus_client import CollectorRegistry, ProcessCollector

        if self._registry is None:
            self._registry = CollectorRegistry()
            self._registry.register(self)
            ProcessCollector(registry=self._registry)
        return self._registry

    def _counters(self, name: str, what: str, *labels: str) -> Counters:
        family = Counters(f"frontdesk_{name}", what, Counter, labels)
        self.families.append(family)
        return family

    def _gauges(self, name: str, what: str, *labels: str) -> Gauges:
        family = Gauges(f"frontdesk_{name}", what, Gauge, labels)
        self.families.append(family)
        return family

    def _histogram(self, name: str, what: str, bounds: tuple[float, ...]) -> Histogram:
        return self._histograms(name, what, bounds).of()

    def _histograms(self, name: str, what: str, bounds: tuple[float, ...], *labels: str) -> Histograms:
        family = Histograms(f"frontdesk_{name}", what, lambda: Histogram(bounds), labels)
        self.families.append(family)
        return family

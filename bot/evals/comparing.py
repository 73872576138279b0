"""What is different between two runs of the same questions."""

from dataclasses import dataclass

from bot.evals.results import Run


@dataclass(frozen=True, slots=True)
class Difference:
    """Cases by name. `changed`: the answer's text is another, and the case passes or fails as before. Time and cost are those of the
    cases that both runs hold."""

    newly_passing: tuple[str, ...]
    newly_failing: tuple[str, ...]
    changed: tuple[str, ...]
    added: tuple[str, ...]
    removed: tuple[str, ...]
    ms: tuple[float, float]
    cost_micros: tuple[int, int]

    @property
    def is_empty(self) -> bool:
        return not (self.newly_passing or self.newly_failing or self.changed or self.added or self.removed)


def compare(before: Run, after: Run) -> Difference:
    """What `after` does otherwise than `before`, in the order of the cases."""
    old = {result.case: result for result in before.results}
    new = {result.case: result for result in after.results}
    both = [name for name in new if name in old]
    turned = [name for name in both if old[name].has_passed != new[name].has_passed]
    same = [name for name in both if old[name].has_passed == new[name].has_passed]
    return Difference(
        newly_passing=tuple(name for name in turned if new[name].has_passed),
        newly_failing=tuple(name for name in turned if old[name].has_passed),
        changed=tuple(name for name in same if old[name].answer != new[name].answer),
        added=tuple(name for name in new if name not in old),
        removed=tuple(name for name in old if name not in new),
        ms=(sum(old[name].ms for name in both), sum(new[name].ms for name in both)),
        cost_micros=(sum(old[name].cost_micros for name in both), sum(new[name].cost_micros for name in both)),
    )

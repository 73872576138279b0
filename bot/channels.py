"""An adapter with its extra abilities, found out once."""

from dataclasses import dataclass

from bot.ports import Adapter, Drafts, Limits, Reconciles, ShowsCase, Splits, Typing


@dataclass(frozen=True, slots=True)
class Channel:
    """What the core asks of one channel; an ability that its adapter lacks is None."""

    adapter: Adapter
    limits: Limits
    drafts: Drafts | None
    typing: Typing | None
    splits: Splits | None
    reconciles: Reconciles | None
    shows_case: ShowsCase | None

    @classmethod
    def of(cls, adapter: Adapter) -> "Channel":
        able: object = adapter
        return cls(
            adapter,
            adapter.limits,
            drafts=able if isinstance(able, Drafts) else None,
            typing=able if isinstance(able, Typing) else None,
            splits=able if isinstance(able, Splits) else None,
            reconciles=able if isinstance(able, Reconciles) else None,
            shows_case=able if isinstance(able, ShowsCase) else None,
        )

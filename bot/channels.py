"""An adapter with its extra abilities, found out once."""

from bot.model import Address, value
from bot.ports import (
    Adapter,
    Drafts,
    HasRoom,
    Limits,
    OpensFiles,
    Reconciles,
    SendsTemplates,
    ShowsCase,
    ShowsOwner,
    ShowsProgress,
    Splits,
    Typing,
)


@value
class Channel:
    """What the core asks of one account of a channel; an ability that its adapter lacks is None."""

    adapter: Adapter
    limits: Limits
    drafts: Drafts | None
    typing: Typing | None
    progress: ShowsProgress | None
    splits: Splits | None
    reconciles: Reconciles | None
    shows_case: ShowsCase | None
    files: OpensFiles | None
    templates: SendsTemplates | None
    shows_owner: ShowsOwner | None
    has_room: HasRoom | None

    @classmethod
    def of(cls, adapter: Adapter) -> "Channel":
        able: object = adapter
        return cls(
            adapter,
            adapter.limits,
            drafts=able if isinstance(able, Drafts) else None,
            typing=able if isinstance(able, Typing) else None,
            progress=able if isinstance(able, ShowsProgress) else None,
            splits=able if isinstance(able, Splits) else None,
            reconciles=able if isinstance(able, Reconciles) else None,
            shows_case=able if isinstance(able, ShowsCase) else None,
            files=able if isinstance(able, OpensFiles) else None,
            templates=able if isinstance(able, SendsTemplates) else None,
            shows_owner=able if isinstance(able, ShowsOwner) else None,
            has_room=able if isinstance(able, HasRoom) else None,
        )


def key_of(channel: str, account: str) -> str:
    """What one account of a channel is called: `slack` for the first, `slack.NAME` for a further one."""
    return f"{channel}.{account}" if account else channel


def channel_at(at: Address) -> str:
    return f"{at.channel}.{at.account}" if at.account else at.channel

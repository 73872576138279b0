"""The house knows where others read along."""

from tests.slack.rig import Rig


async def test_f96_all_but_direct_messages_are_shared(rig: Rig) -> None:
    general = rig.space.add_channel("general", rig.anna)
    rig.people.say(rig.anna, rig.room, "hi")
    assert [each.is_shared for each in await rig.heard()] == [False]
    rig.people.say(rig.anna, rig.room, "hello", thread=rig.people.open_assistant(rig.anna))
    rig.people.mention(rig.anna, general, "help me")
    shared = {each.text: each.is_shared for each in await rig.heard(3)}
    assert shared["hello"] is False
    assert shared["help me"] is True

"""Roles: one table, and nothing beyond it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.operators.operator import Operator
from bot.operators.roles import RIGHTS, Right, Role, may, roles_with


def test_every_role_stands_in_the_table() -> None:
    assert set(RIGHTS) == set(Role)


@given(st.text(), st.sampled_from(Right))
def test_f86_a_role_that_is_not_in_the_table_may_do_nothing(role: str, right: Right) -> None:
    assert role in RIGHTS or not may(role, right)


@pytest.mark.parametrize(
    ("right", "roles"),
    [
        (Right.SEE, ["viewer", "agent", "approver", "admin", "auditor"]),
        (Right.TAKE, ["agent", "approver", "admin"]),
        (Right.REPLY, ["agent", "approver", "admin"]),
        (Right.CORRECT_MEMORY, ["agent", "approver", "admin"]),
        (Right.DECIDE_UNKNOWN, ["agent", "approver", "admin"]),
        (Right.DECIDE_CONSENT, ["approver", "admin"]),
        (Right.SEE_AUDIT, ["admin", "auditor"]),
        (Right.EXPORT, ["admin"]),
        (Right.ERASE, ["admin"]),
        (Right.MANAGE_OPERATORS, ["admin"]),
    ],
)
def test_who_may_do_what(right: Right, roles: list[str]) -> None:
    assert roles_with(right) == roles
    assert [role for role in RIGHTS if may(role, right)] == roles


@pytest.mark.parametrize("right", Right)
def test_the_disabled_may_do_nothing(right: Right) -> None:
    assert Operator("o1", "ada", "admin").may(right)
    assert not Operator("o1", "ada", "admin", is_disabled=True).may(right)

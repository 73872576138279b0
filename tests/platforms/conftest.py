"""Failed checks of the suite say what they compared."""

import pytest

pytest.register_assert_rewrite("tests.platforms.suite", "tests.platforms.stage")

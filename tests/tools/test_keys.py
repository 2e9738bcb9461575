"""`docs/keys.md` is what the program's own table of actions says."""

from __future__ import annotations

import keys
import pytest

from dmr_tui.actions import ACTIONS


def test_the_document_is_what_make_keys_writes() -> None:
    assert keys.DOCUMENT.read_text("utf-8") == keys.page(), "run `make keys`"


def test_every_action_with_a_key_is_in_it() -> None:
    page = keys.page()
    assert [each.id for each in ACTIONS if each.keys and f"| {each.help} |" not in page] == []


@pytest.mark.parametrize(("key", "cell"), [("`", "`` ` ``"), ("|", "`\\|`"), ("^p", "`^p`")])
def test_any_character_can_be_a_key(key: str, cell: str) -> None:
    assert keys.code(key) == cell

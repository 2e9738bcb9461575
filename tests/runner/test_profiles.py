from __future__ import annotations

from pathlib import Path

import pytest

from dmr_tui.engine.profile import Profile
from dmr_tui.engine.request import Sampling
from dmr_tui.errors import StoreError
from dmr_tui.runner.profiles import Profiles, overlay


def test_a_profile_survives_a_restart(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "profiles.json"
    profile = Profile(context_size=2048, sampling=Sampling(top_k=3))
    Profiles(file).set("sha256:a", profile)
    assert Profiles(file).get("sha256:a") == profile
    assert Profiles(file).get("sha256:b") == Profile()


def test_an_empty_profile_forgets_the_model(tmp_path: Path) -> None:
    file = tmp_path / "profiles.json"
    Profiles(file).set("sha256:a", Profile(context_size=1))
    Profiles(file).set("sha256:a", Profile())
    assert file.read_text() == "{}"


def test_a_damaged_file_is_named_and_kept(tmp_path: Path) -> None:
    file = tmp_path / "profiles.json"
    file.write_text("{oops")
    with pytest.raises(StoreError, match=r"profiles\.json is damaged"):
        Profiles(file).get("sha256:a")
    with pytest.raises(StoreError):
        Profiles(file).set("sha256:a", Profile(context_size=1))
    assert file.read_text() == "{oops"


def test_overlay_lets_the_upper_one_win_where_it_speaks() -> None:
    base = Profile(context_size=4096, keep_alive=-1, sampling=Sampling(temperature=0.1, top_k=9))
    over = Profile(context_size=8192, sampling=Sampling(temperature=0.0))
    assert overlay(base, over) == Profile(
        context_size=8192, keep_alive=-1, sampling=Sampling(temperature=0.0, top_k=9)
    )
    assert overlay(base, None) == base

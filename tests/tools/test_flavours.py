from __future__ import annotations

import pytest
from flavours import NO_AMX, PREFETCH, Machine, choose_flavours

AMX = "fpu avx2 avx512f amx_bf16 amx_tile amx_int8"
PLAIN = "fpu avx2 avx512f"


@pytest.fixture(autouse=True)
def no_wishes(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CFLAGS", "CXXFLAGS", "CMAKE_ARGS"):
        monkeypatch.delenv(name, raising=False)


def test_a_plain_processor_gets_a_native_build_first() -> None:
    first, last = choose_flavours(Machine("x86_64", PLAIN, gcc="/usr/bin/g++"))
    assert first.name == "native"
    assert first.environment["CFLAGS"] == first.environment["CXXFLAGS"] == PREFETCH
    assert first.environment["CC"] == "/usr/bin/gcc"
    assert last.environment["CMAKE_ARGS"] == "-DGGML_NATIVE=off"


def test_gcc_leaves_amx_out_where_the_processor_has_it() -> None:
    first, *_ = choose_flavours(Machine("x86_64", AMX, gcc="/usr/bin/g++"))
    assert first.environment["CFLAGS"] == first.environment["CXXFLAGS"] == f"{PREFETCH} {NO_AMX}"


def test_clang_keeps_amx_and_comes_before_gcc() -> None:
    machine = Machine("x86_64", AMX, gcc="/usr/bin/g++", clang="/usr/bin/clang++")
    first, second, _ = choose_flavours(machine)
    assert first.environment == {"CC": "/usr/bin/clang", "CXX": "/usr/bin/clang++"}
    assert NO_AMX in second.environment["CFLAGS"]


def test_no_amx_flag_reaches_an_arm_compiler() -> None:
    flavours = choose_flavours(Machine("aarch64", "fp asimd sve", gcc="/usr/bin/g++"))
    assert not any("amx" in str(flavour.environment) for flavour in flavours)


def test_cuda_is_tried_first_and_the_processor_build_stays_as_the_way_out() -> None:
    flavours = choose_flavours(Machine("x86_64", PLAIN, gcc="/usr/bin/g++", cuda=True))
    assert [flavour.name for flavour in flavours] == ["CUDA", "native", "portable"]
    assert "-DGGML_CUDA=on" in flavours[0].environment["CMAKE_ARGS"]


def test_without_a_compiler_there_is_nothing_to_try() -> None:
    assert choose_flavours(Machine("x86_64", PLAIN)) == []


def test_what_the_user_asks_for_comes_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CFLAGS", "-O1")
    monkeypatch.setenv("CMAKE_ARGS", "-DGGML_BLAS=on")
    first, _ = choose_flavours(Machine("x86_64", AMX, gcc="/usr/bin/g++"))
    assert first.environment["CFLAGS"] == f"{PREFETCH} {NO_AMX} -O1"
    assert first.environment["CMAKE_ARGS"] == "-DGGML_BLAS=on"


def test_builds_for_different_processors_are_kept_apart() -> None:
    gcc = "/usr/bin/g++"
    keys = {
        flavour.key
        for processor in (PLAIN, AMX)
        for flavour in choose_flavours(Machine("x86_64", processor, gcc=gcc))
    }
    assert len(keys) == 4

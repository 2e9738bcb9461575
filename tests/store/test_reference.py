from __future__ import annotations

import string

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dmr_tui.errors import InvalidRequestError
from dmr_tui.store.reference import (
    Reference,
    canonical,
    familiar,
    looks_like_id,
    parse_reference,
)

DIGEST = "sha256:" + "ab" * 32


@pytest.mark.parametrize(
    ("typed", "stored"),
    [
        ("gemma3", "docker.io/ai/gemma3:latest"),
        ("gemma3:v1", "docker.io/ai/gemma3:v1"),
        ("MyModel", "docker.io/ai/mymodel:latest"),
        ("myorg/model", "docker.io/myorg/model:latest"),
        ("myorg/model:", "docker.io/myorg/model:latest"),
        ("  myorg/model\n", "docker.io/myorg/model:latest"),
        ("ai/smollm2:360M-Q4_K_M", "docker.io/ai/smollm2:360M-Q4_K_M"),
        ("registry.example.com/model", "registry.example.com/model:latest"),
        ("registry.example.com/org/model:v2", "registry.example.com/org/model:v2"),
        ("Registry.Example.com/Org/Model:V2", "registry.example.com/org/model:V2"),
        ("hf.co/Org/Model:Q4_K_M", "huggingface.co/org/model:Q4_K_M"),
        ("huggingface.co/org/model", "huggingface.co/org/model:latest"),
        ("hf.co/org/_odd_--name-", None),
        ("hf.co/org/odd_._name", "huggingface.co/org/odd_._name:latest"),
        ("localhost/m", "localhost/m:latest"),
        ("localhost:5000/m", "localhost:5000/m:latest"),
        ("127.0.0.1:5000/a/b:c", "127.0.0.1:5000/a/b:c"),
        ("[::1]:5000/m", "[::1]:5000/m:latest"),
        ("docker.io/m", "docker.io/ai/m:latest"),
        ("library/m", "docker.io/ai/m:latest"),
        ("docker.io/library/m:v1", "docker.io/ai/m:v1"),
        ("index.docker.io/ai/m:v1", "docker.io/ai/m:v1"),
        ("registry.example.com/library/m", "registry.example.com/library/m:latest"),
        (f"name@{DIGEST}", f"docker.io/ai/name@{DIGEST}"),
        (f"org/name@{DIGEST}", f"docker.io/org/name@{DIGEST}"),
        (f"localhost:5000/org/name@{DIGEST}", f"localhost:5000/org/name@{DIGEST}"),
        (f"name:v1@{DIGEST}", f"docker.io/ai/name:v1@{DIGEST}"),
        ("0123456789ab", "docker.io/ai/0123456789ab:latest"),
    ],
)
def test_names_are_normalised(typed: str, stored: str | None) -> None:
    if stored is None:
        with pytest.raises(InvalidRequestError):
            parse_reference(typed)
    else:
        assert str(parse_reference(typed)) == stored


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "   ",
        ":v1",
        "/model",
        "org//model",
        "org/model/",
        "mo del",
        "model:two words",
        "model:-v1",
        "model:" + "x" * 129,
        "x" * 256,
        "-model",
        "model-",
        "mod..el",
        "../../etc/passwd",
        "modèle",
        "model\0",
        "model@sha256:abc",
        "model@md5:" + "a" * 32,
        f"model@{DIGEST.upper()}",
        "https://hf.co/org/model",
        "bad_host.example/m",
        "host:port/m",
        "example.com:/m",
        DIGEST,
        DIGEST[7:],
    ],
)
def test_what_is_no_name_is_refused_with_a_remedy(typed: str) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        parse_reference(typed)
    assert "\n" not in refused.value.message


def test_another_default_registry() -> None:
    reference = parse_reference("gemma3", default_registry="registry.local:5000")
    assert str(reference) == "registry.local:5000/ai/gemma3:latest"
    assert reference.familiar("registry.local:5000") == "gemma3"
    assert reference.familiar() == "registry.local:5000/ai/gemma3"
    explicit = parse_reference("registry.local:5000/library/m")
    assert explicit.familiar("registry.local:5000") == "registry.local:5000/library/m"
    assert str(parse_reference("docker.io/a/b", default_registry="registry.local:5000")) == (
        "docker.io/a/b:latest"
    )


@pytest.mark.parametrize(
    ("stored", "short"),
    [
        ("docker.io/ai/gemma3:latest", "gemma3"),
        ("docker.io/ai/gemma3:v1", "gemma3:v1"),
        ("docker.io/myorg/gemma3:latest", "myorg/gemma3"),
        ("huggingface.co/bartowski/model:latest", "huggingface.co/bartowski/model"),
        ("localhost:5000/ai/m:latest", "localhost:5000/ai/m"),
        (f"docker.io/ai/m:latest@{DIGEST}", f"m:latest@{DIGEST}"),
        # Where the short name would mean something else, it is not that short.
        ("docker.io/ai/nested/m:latest", "ai/nested/m"),
        ("docker.io/ai/0123456789ab:latest", "ai/0123456789ab"),
        ("docker.io/my.org/m:latest", "docker.io/my.org/m"),
        ("docker.io/localhost/m:latest", "docker.io/localhost/m"),
    ],
)
def test_display_names(stored: str, short: str) -> None:
    assert parse_reference(stored).familiar() == short


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0123456789ab", True),
        ("0123456789AB", False),
        ("0123456789abc", False),
        ("ab" * 32, True),
        ("sha256:" + "ab" * 32, True),
        ("sha256:0123456789ab", False),
        ("gemma3", False),
    ],
)
def test_what_looks_like_an_id(text: str, expected: bool) -> None:
    assert looks_like_id(text) is expected


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("ai/smollm2", "docker.io/ai/smollm2:latest"),
        ("index.docker.io/ai/smollm2:latest", "docker.io/ai/smollm2:latest"),
        ("hf.co/org/model:Q8_0", "huggingface.co/org/model:Q8_0"),
        ("docker.io/ai/smollm2:latest", "docker.io/ai/smollm2:latest"),
        ("localhost:5000/smollm2", "localhost:5000/smollm2:latest"),
        (f"docker.io/ai/smollm2@{DIGEST}", f"docker.io/ai/smollm2@{DIGEST}"),
        ("what is this?", "what is this?"),
    ],
)
def test_tags_of_older_programs_become_canonical(written: str, expected: str) -> None:
    assert canonical(written) == expected


ALNUM = string.ascii_letters + string.digits
PART = st.from_regex(r"[a-zA-Z0-9]+([._-][a-zA-Z0-9]+){0,2}", fullmatch=True)
REGISTRY = st.one_of(
    st.from_regex(r"[a-z0-9]{1,8}(\.[a-z0-9]{1,8}){1,2}(:[0-9]{1,5})?", fullmatch=True),
    st.sampled_from(["localhost", "registry.local:5000", "docker.io", "hf.co", "index.docker.io"]),
)
NAMES = st.builds(
    lambda registry, parts, tag, digest: (
        (f"{registry}/" if registry else "")
        + "/".join(parts)
        + (f":{tag}" if tag is not None else "")
        + (f"@{digest}" if digest else "")
    ),
    st.one_of(st.none(), REGISTRY),
    st.lists(PART | st.sampled_from(["ai", "library", "0123456789ab"]), min_size=1, max_size=3),
    st.one_of(st.none(), st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,20}", fullmatch=True)),
    st.one_of(st.none(), st.just(DIGEST)),
)


def _parse(text: str, default_registry: str = "docker.io") -> Reference | None:
    try:
        return parse_reference(text, default_registry=default_registry)
    except InvalidRequestError:
        return None


@given(NAMES, st.sampled_from(["docker.io", "index.docker.io", "registry.local:5000"]))
@example("registry.local:5000/ai", "registry.local:5000")
def test_both_texts_of_a_reference_parse_to_it_again(text: str, default: str) -> None:
    reference = _parse(text, default)
    if reference is None:
        return
    assert parse_reference(str(reference)) == reference
    assert parse_reference(str(reference), default_registry="other.example") == reference
    assert parse_reference(reference.familiar(default), default_registry=default) == reference
    assert canonical(str(reference)) == str(reference)


@given(st.text(max_size=40) | st.text(alphabet=ALNUM + "./:@-_[]", max_size=40))
def test_any_text_is_a_reference_or_refused(text: str) -> None:
    reference = _parse(text)
    if reference is not None:
        assert parse_reference(str(reference)) == reference
        assert ".." not in str(reference).split("/")


_PARTS = st.lists(
    st.sampled_from([*"aefz09", "-", ".", "_", "ai", "library", "localhost"]), max_size=6
)


@given(
    st.sampled_from(["docker.io", "index.docker.io", "localhost:5000", "hf.co"]),
    st.lists(_PARTS.map("".join), min_size=1, max_size=3),
    st.sampled_from(["latest", "v1.0", "Q4_K_M", "-", "", "x" * 128, "x" * 129]),
    st.sampled_from(["docker.io", "localhost:5000"]),
)
@example("docker.io", ["ai", "abcdef012345"], "latest", "docker.io")
@example("docker.io", ["ai", "smollm2"], "latest", "docker.io")
@example("docker.io", ["org", "a" * 250], "v1", "docker.io")
def test_the_quick_way_to_a_short_name_is_the_same_name(
    registry: str, path: list[str], tag: str, default: str
) -> None:
    text = f"{registry}/{'/'.join(path)}:{tag}"
    try:
        expected = parse_reference(text).familiar(default)
    except InvalidRequestError:
        expected = text
    assert familiar(text, default) == expected

"""Pulls from a registry that fails, cuts off, misleads or lies."""

from __future__ import annotations

import json
import os
import random
import socket
from threading import Event, Thread

import httpx
import pytest

from dmr_tui.errors import ModelNotFoundError, RegistryError, StoppedError, StoreError
from dmr_tui.store.transfer import progress, wire
from dmr_tui.store.transfer.retry import TransientError
from tests.store.transfer.conftest import Transfers
from tests.support.stand_in import (
    Request,
    StandIn,
    cut,
    digest_of,
    pause,
    redirect,
    status,
)

pytestmark = pytest.mark.usefixtures("quick_retries")

WEIGHTS = random.Random(1).randbytes(3_000_000)
DIGEST = digest_of(WEIGHTS)
BLOB = f"GET .*/blobs/{DIGEST}"
MANIFEST = "GET .*/manifests/"


def has_weights(transfers: Transfers) -> bool:
    return transfers.store.blobs.path(DIGEST).read_bytes() == WEIGHTS


def served(server: StandIn) -> int:
    """Bytes of the weights that have gone over the wire."""
    return sum(request.sent for request in server.asked(BLOB))


@pytest.mark.parametrize("path", [MANIFEST, BLOB])
@pytest.mark.parametrize("code", [429, 500, 502, 503, 504])
def test_temporary_refusals_are_tried_again(
    server: StandIn, transfers: Transfers, path: str, code: int
) -> None:
    server.model(WEIGHTS)
    server.fault(path, *[status(code)] * 3)
    transfers.pull(server.name)
    assert has_weights(transfers)
    assert len(transfers.warnings) == 3
    assert f"answered {code}" in transfers.warnings[0]


def test_retry_after_is_obeyed(server: StandIn, transfers: Transfers) -> None:
    server.model(WEIGHTS)
    server.fault(MANIFEST, status(429, Retry_After="1"), status(503, Retry_After="0"))
    transfers.pull(server.name)
    assert transfers.warnings[0].endswith("trying again in 1 s")
    assert transfers.warnings[1].endswith("trying again in 0 s")


def test_a_registry_that_asks_for_an_hour_is_not_waited_for(
    server: StandIn, transfers: Transfers
) -> None:
    server.model(WEIGHTS)
    server.fault(MANIFEST, status(429, Retry_After="3600"))
    with pytest.raises(RegistryError, match="answered 429 Too Many Requests"):
        transfers.pull(server.name)
    assert len(server.seen) == 1


def test_patience_ends(server: StandIn, transfers: Transfers) -> None:
    server.model(WEIGHTS)
    server.fault(BLOB, *[status(503)] * 9)
    with pytest.raises(RegistryError, match="answered 503"):
        transfers.pull(server.name)
    assert len(server.asked(BLOB)) == 5


def test_an_error_tells_what_the_registry_said(server: StandIn, transfers: Transfers) -> None:
    body = json.dumps({"errors": [{"code": "DENIED", "message": "no \x1b[31mquota\nleft"}]})
    server.fault(MANIFEST, lambda request: request.answer(418, body.encode()))
    with pytest.raises(RegistryError, match=r"answered 418 .*: DENIED no  \[31mquota left"):
        transfers.pull(server.name)


def test_where_nobody_listens_one_attempt_is_enough(transfers: Transfers) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        with pytest.raises(
            TransientError, match=f"cannot reach 127.0.0.1:{port}: Connection refused"
        ):
            transfers.pull(f"127.0.0.1:{port}/ai/tiny")
    assert transfers.warnings == []


def test_a_broken_stream_goes_on_where_it_broke(server: StandIn, transfers: Transfers) -> None:
    server.model(WEIGHTS)
    server.fault(BLOB, cut(server, 1_000_000), cut(server, 500_000), cut(server, 0))
    transfers.pull(server.name)
    assert has_weights(transfers)
    assert [request.start for request in server.asked(BLOB)] == [0, 1_000_000, 1_500_000, 1_500_000]
    assert served(server) == len(WEIGHTS)


def test_more_breaks_than_patience_are_borne_while_bytes_come(
    server: StandIn, transfers: Transfers
) -> None:
    server.model(WEIGHTS)
    server.fault(BLOB, *[cut(server, 100_000)] * 12)
    transfers.pull(server.name)
    assert served(server) == len(WEIGHTS)


def test_a_server_without_ranges_is_begun_anew(server: StandIn, transfers: Transfers) -> None:
    server.model(WEIGHTS)
    server.fault(BLOB, cut(server, 1_000_000), lambda request: request.answer(200, WEIGHTS))
    transfers.pull(server.name)
    assert has_weights(transfers)


def test_one_that_never_gets_further_is_given_up(server: StandIn, transfers: Transfers) -> None:
    server.model(WEIGHTS)

    def same_part(request: Request) -> None:
        request.head(200, len(WEIGHTS))
        request.write(WEIGHTS[:1000])
        request.hang_up()

    server.fault(BLOB, *[same_part] * 20)
    with pytest.raises(RegistryError):
        transfers.pull(server.name)
    assert len(server.asked(BLOB)) == 5


def test_wrong_bytes_are_deleted(server: StandIn, transfers: Transfers) -> None:
    server.model(WEIGHTS)
    wrong = bytes(len(WEIGHTS))
    server.fault(BLOB, lambda request: request.answer(200, wrong))
    with pytest.raises(RegistryError, match=f"are not those: their digest is {digest_of(wrong)}"):
        transfers.pull(server.name)
    assert transfers.partials == []
    assert not transfers.store.blobs.has(DIGEST)
    with pytest.raises(ModelNotFoundError):
        transfers.store.find(server.name)


def test_a_bad_partial_of_an_earlier_process_is_replaced(
    server: StandIn, transfers: Transfers
) -> None:
    server.model(WEIGHTS)
    transfers.store.blobs.partial(DIGEST).write_bytes(bytes(2_000_000))
    transfers.pull(server.name)
    assert has_weights(transfers)
    assert [request.start for request in server.asked(BLOB)] == [2_000_000, 0]


@pytest.mark.parametrize("length", [1_000_000, 3_000_000])
def test_a_good_partial_is_continued(server: StandIn, transfers: Transfers, length: int) -> None:
    server.model(WEIGHTS)
    transfers.store.blobs.partial(DIGEST).write_bytes(WEIGHTS[:length])
    transfers.pull(server.name)
    assert has_weights(transfers)
    assert served(server) == len(WEIGHTS) - length
    assert transfers.lines[0].layer.current == length


def test_a_partial_longer_than_the_blob_is_dropped(server: StandIn, transfers: Transfers) -> None:
    server.model(WEIGHTS)
    transfers.store.blobs.partial(DIGEST).write_bytes(WEIGHTS + b"more")
    transfers.pull(server.name)
    assert has_weights(transfers)


def test_a_damaged_blob_of_the_store_is_fetched_again(
    server: StandIn, transfers: Transfers
) -> None:
    server.model(WEIGHTS)
    transfers.pull(server.name)
    os.truncate(transfers.store.blobs.path(DIGEST), 1000)
    transfers.pull(server.name)
    assert has_weights(transfers)


def test_a_layer_that_is_there_counts_as_fetched(server: StandIn, transfers: Transfers) -> None:
    server.model(WEIGHTS, b"a licence")
    transfers.pull(server.name)
    server.model(WEIGHTS, b"another licence", tag="next")
    transfers.lines.clear()
    transfers.pull(server.name.replace("latest", "next"))
    counts = [line.layer.current for line in transfers.lines if line.layer.id == DIGEST]
    assert set(counts) == {len(WEIGHTS)}
    assert len(server.asked(BLOB)) == 1


@pytest.mark.parametrize(
    "span", ["bytes 0-2999999/3000000", "bytes 5-9/3000000", "items 1-2/3", ""]
)
def test_another_part_than_asked_for_is_refused(
    server: StandIn, transfers: Transfers, span: str
) -> None:
    server.model(WEIGHTS)
    server.fault(
        BLOB,
        cut(server, 1_000_000),
        lambda request: request.answer(206, WEIGHTS, Content_Range=span),
    )
    with pytest.raises(RegistryError, match="where bytes 1000000- were due"):
        transfers.pull(server.name)
    assert transfers.partials[0].read_bytes() == WEIGHTS[:1_000_000]


def test_an_answer_of_416_is_not_read(server: StandIn, transfers: Transfers) -> None:
    server.model(WEIGHTS)

    def unsatisfied(request: Request) -> None:
        request.head(416, len(WEIGHTS), Content_Range=f"bytes */{len(WEIGHTS)}")
        request.write(b"{}")  # docker-registry announces the blob's length and sends a short text
        request.hang_up()

    server.fault(BLOB, cut(server, 1_000_000), unsatisfied, unsatisfied)
    with pytest.raises(RegistryError, match="answered 416"):
        transfers.pull(server.name)


@pytest.mark.parametrize("other", [WEIGHTS + b"!", WEIGHTS[:-1]], ids=["longer", "shorter"])
def test_a_wrong_length_once_is_borne_and_always_is_not(
    server: StandIn, transfers: Transfers, other: bytes
) -> None:
    server.model(WEIGHTS)
    server.fault(BLOB, lambda request: request.answer(200, other))
    transfers.pull(server.name)
    assert has_weights(transfers)

    server.model(b"second", tag="second")
    server.blobs[digest_of(b"second")] = b"second, but not that"
    with pytest.raises(RegistryError, match="offers 20 bytes for a blob of 6"):
        transfers.pull(server.name.replace("latest", "second"))


def test_more_bytes_than_due_without_a_length(server: StandIn, transfers: Transfers) -> None:
    server.model(WEIGHTS)

    def endless(request: Request) -> None:
        request.handler.send_response(200)
        request.handler.end_headers()
        request.write(WEIGHTS + b"!")
        request.hang_up()

    server.fault(BLOB, endless)
    transfers.pull(server.name)
    assert has_weights(transfers)


def test_a_full_disk_is_told_before_the_first_byte(server: StandIn, transfers: Transfers) -> None:
    manifest = server.model(WEIGHTS)
    manifest["layers"][0]["size"] = 1 << 60
    server.manifests["latest"] = json.dumps(manifest).encode()
    with pytest.raises(StoreError, match=r"not enough space .* need 1152921504.61 GB, have"):
        transfers.pull(server.name)
    assert server.asked("/blobs/") == []


def test_a_stalled_stream_is_left_and_continued(
    server: StandIn, transfers: Transfers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "_TIMEOUT", httpx.Timeout(5.0, read=0.3))
    server.model(WEIGHTS)
    go_on = Event()
    server.fault(BLOB, pause(server, 1_000_000, go_on))
    transfers.pull(server.name)
    go_on.set()
    assert has_weights(transfers)
    assert "not one byte came for too long" in transfers.warnings[0]
    assert [request.start for request in server.asked(BLOB)] == [0, 1_000_000]


def test_a_cancel_is_heard_while_nothing_comes(
    server: StandIn, transfers: Transfers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "_STEP", 1)  # a line for each chunk
    server.model(WEIGHTS)
    go_on = Event()
    server.fault(BLOB, pause(server, 2_000_000, go_on))
    errors: list[BaseException] = []

    def work() -> None:
        try:
            transfers.pull(server.name)
        except StoppedError as error:
            errors.append(error)

    arrived = Event()
    transfers.watch = lambda line: arrived.set() if line.layer.current == 2_000_000 else None
    thread = Thread(target=work)
    thread.start()
    assert arrived.wait(10)
    transfers.cancelled.set()
    thread.join(10)
    assert not thread.is_alive()
    assert len(errors) == 1
    assert transfers.partials[0].read_bytes() == WEIGHTS[:2_000_000]

    transfers.cancelled.clear()
    transfers.pull(server.name)
    go_on.set()
    assert has_weights(transfers)
    assert server.asked(BLOB)[1].start == 2_000_000


def test_redirects_of_blobs_are_followed(
    server: StandIn, other_server: StandIn, transfers: Transfers
) -> None:
    server.model(WEIGHTS)
    other_server.model(WEIGHTS)
    there = f"http://{other_server.host}/v2/cdn/blobs/{DIGEST}"
    server.fault(BLOB, redirect(there), redirect(there))
    other_server.fault(BLOB, cut(server, 1_000_000))
    transfers.pull(server.name)
    assert has_weights(transfers)
    assert [request.start for request in other_server.asked(BLOB)] == [0, 1_000_000]


def test_a_signed_address_that_ran_out_is_asked_for_again(
    server: StandIn, other_server: StandIn, transfers: Transfers
) -> None:
    server.model(WEIGHTS)
    server.fault(BLOB, redirect(f"http://{other_server.host}/v2/cdn/blobs/{DIGEST}"))
    other_server.fault(BLOB, status(403))
    transfers.pull(server.name)
    assert has_weights(transfers)
    assert len(server.asked(BLOB)) == 2


def test_redirects_have_an_end(server: StandIn, transfers: Transfers) -> None:
    server.model(WEIGHTS)
    server.fault(
        "GET .*/blobs/", *[redirect(f"http://{server.host}/v2/a/blobs/{n}") for n in range(20)]
    )
    with pytest.raises(RegistryError, match="redirects without end"):
        transfers.pull(server.name)


@pytest.mark.parametrize(
    "target", ["file:///etc/passwd", "ftp://127.0.0.1/x", "http://x:y/", "http://[::1/", "//", ""]
)
def test_redirects_to_no_web_address_are_refused(
    server: StandIn, transfers: Transfers, target: str
) -> None:
    server.model(WEIGHTS)
    server.fault("GET .*/blobs/", *[redirect(target)] * 9)
    with pytest.raises(RegistryError, match=r"redirects to itself|is no address|Invalid URL"):
        transfers.pull(server.name)

"""A model's weights and its vocabulary."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterable
from functools import cached_property
from pathlib import Path

from dmr_tui.engine.llamacpp.native import NativeLog, llama
from dmr_tui.errors import EngineError, InvalidRequestError


class Model:
    """Weights in memory; they stay until the process ends."""

    def __init__(
        self,
        path: Path,
        *,
        gpu_layers: int,
        on_progress: Callable[[float], None],
        log: NativeLog,
    ) -> None:
        """Load a GGUF file.

        Args:
            path: the file; the first of its shards.
            gpu_layers: layers to put on GPUs; negative: all.
            on_progress: told the share of the weights that has been read.
            log: where to find the reason of a failure.

        Raises:
            EngineError: the reason, without the file's name.
        """

        def progress(fraction: float, _: object) -> bool:
            on_progress(fraction)
            return True

        callback = llama.llama_progress_callback(progress)
        parameters = llama.llama_model_default_params()
        parameters.n_gpu_layers = gpu_layers
        parameters.load_mode = llama.LLAMA_LOAD_MODE_MMAP
        parameters.progress_callback = callback
        log.forget()
        self.handle = llama.llama_model_load_from_file(str(path).encode(), parameters)
        if not self.handle:
            raise EngineError(log.reason or "llama.cpp gives no reason")
        if not llama.llama_model_has_decoder(self.handle):
            raise EngineError("this model cannot generate text: it has no decoder")
        if llama.llama_model_has_encoder(self.handle):
            raise EngineError("models with an encoder and a decoder are not supported")
        self.trained_context = int(llama.llama_model_n_ctx_train(self.handle))
        self.layers = int(llama.llama_model_n_layer(self.handle))
        offload = llama.llama_supports_gpu_offload()
        # One more than the layers: the output counts as a layer of its own.
        most = self.layers + 1
        self.gpu_layers = (most if gpu_layers < 0 else min(gpu_layers, most)) if offload else 0
        self.vocabulary = Vocabulary(self.handle)
        self.pooling = self._pooling()
        """How llama.cpp makes one vector of all tokens'; a `LLAMA_POOLING_TYPE`."""
        self.divisible = not (
            llama.llama_model_is_recurrent(self.handle) or llama.llama_model_is_hybrid(self.handle)
        )
        """The state of a sequence can be cut at any position: it is a list of keys and values."""
        self.window = int(llama.llama_model_n_swa(self.handle))
        """Tokens back that some layers look at most; 0: all look at everything."""

    @property
    def description(self) -> str:
        """Architecture, size and quantization in llama.cpp's words."""
        buffer = ctypes.create_string_buffer(256)
        llama.llama_model_desc(self.handle, buffer, len(buffer))
        return buffer.value.decode("utf-8", "replace")

    @property
    def mode(self) -> str:
        """What the model is for: `completion`, `embedding` or `reranking`."""
        if self.pooling == llama.LLAMA_POOLING_TYPE_NONE:
            return "completion"
        return "reranking" if self.pooling == llama.LLAMA_POOLING_TYPE_RANK else "embedding"

    @property
    def chat_template(self) -> str | None:
        """The Jinja text that came with the model."""
        return self.template(None)

    def template(self, name: str | None) -> str | None:
        """One of several templates that came with the model."""
        text = llama.llama_model_chat_template(self.handle, None if name is None else name.encode())
        return None if text is None else text.decode("utf-8", "replace")

    def _pooling(self) -> int:
        """What the file says; a model that looks at the whole text takes the mean unasked."""
        architecture = self._fact("general.architecture")
        kind = self._fact(f"{architecture}.pooling_type")
        if kind.isdigit() and int(kind) != llama.LLAMA_POOLING_TYPE_NONE:
            return int(kind)
        if self._fact(f"{architecture}.attention.causal") == "false":
            return int(llama.LLAMA_POOLING_TYPE_MEAN)
        return int(llama.LLAMA_POOLING_TYPE_NONE)

    def _fact(self, key: str) -> str:
        """A value of the metadata as text; empty when there is none."""
        buffer = ctypes.create_string_buffer(256)
        llama.llama_model_meta_val_str(self.handle, key.encode(), buffer, len(buffer))
        return buffer.value.decode("utf-8", "replace")


class Vocabulary:
    """Text to tokens and back."""

    def __init__(self, model: int) -> None:
        self.handle = self._handle = llama.llama_model_get_vocab(model)
        self.size = int(llama.llama_vocab_n_tokens(self._handle))
        self._pieces: dict[int, bytes | None] = {}
        self._texts: dict[int, bytes] = {}
        self._endings: dict[int, bool] = {}
        self._buffer = ctypes.create_string_buffer(256)
        bos = int(llama.llama_vocab_bos(self._handle))
        self.bos = bos if bos >= 0 else None
        """The token that begins a sequence, if there is one."""
        self.adds_bos = self.bos is not None and bool(llama.llama_vocab_get_add_bos(self._handle))
        """The model wants every prompt to begin with `bos`."""
        marks = [
            int(find(self._handle))
            for find in (
                llama.llama_vocab_fim_pre,
                llama.llama_vocab_fim_suf,
                llama.llama_vocab_fim_mid,
            )
        ]
        self.infill_marks = (marks[0], marks[1], marks[2]) if min(marks) >= 0 else None
        """The tokens in front of a prefix, a suffix and the middle, if the model knows them."""

    def tokenize(self, text: str, *, beginning: bool = True) -> list[int]:
        """Tokens of a prompt; the text of a special token becomes that token.

        A model that wants a beginning token gets one, unless the text has written it already, or
        is not the `beginning` of a prompt.
        """
        found = self.encode(text)
        if beginning and self.adds_bos and self.bos is not None and found[:1] != [self.bos]:
            found.insert(0, self.bos)
        return found

    def encode(
        self, text: str, *, add_special: bool = False, parse_special: bool = True
    ) -> list[int]:
        """Tokens of a text.

        Args:
            text: any text.
            add_special: put the tokens around it that the model wants around every text.
            parse_special: the text of a special token becomes that token.
        """
        raw = text.encode("utf-8", "replace")
        room = len(raw) + 8
        while True:
            tokens = (llama.llama_token * room)()
            count = llama.llama_tokenize(
                self._handle, raw, len(raw), tokens, room, add_special, parse_special
            )
            if count >= 0:
                found: list[int] = tokens[:count]
                return found
            room = -count

    def spelling(self, text: str) -> list[int] | None:
        """Tokens whose texts together are exactly this one; None when there are none.

        Some tokenizers put a blank in front of a text that begins like a word: behind a line feed
        there is no room for one.
        """
        raw = text.encode("utf-8", "replace")
        for before in ("", "\n"):
            left, found = raw, list[int]()
            for token in reversed(self.encode(before + text)):
                piece = self.text(token)
                if not left or not left.endswith(piece):
                    break
                left = left.removesuffix(piece)
                found.insert(0, token)
            if not left:
                return found
        return None

    def pair(self, first: str, second: str) -> list[int]:
        """Two texts as one, as rerankers were trained on them.

        `[CLS] first [SEP] second [SEP]` for BERT, `<s> first </s></s> second </s>` for XLM-RoBERTa.
        """
        sep = int(llama.llama_vocab_sep(self._handle))
        eos = int(llama.llama_vocab_eos(self._handle))
        separator = [sep] if sep >= 0 and llama.llama_vocab_get_add_sep(self._handle) else []
        adds_end = eos >= 0 and llama.llama_vocab_get_add_eos(self._handle)
        end = [eos] if adds_end else []
        begin = [self.bos] if self.adds_bos and self.bos is not None else []
        head = [*begin, *self.encode(first), *end, *separator]
        return [*head, *self.encode(second), *(end or separator)]

    def checked(self, tokens: Iterable[int], param: str) -> list[int]:
        """Token ids that somebody gave; `param` is the field they came in.

        Raises:
            InvalidRequestError: the model has no such token.
        """
        found = list(tokens)
        for token in found:
            if not 0 <= token < self.size:
                raise InvalidRequestError(
                    f"token {token!r} is not one of the model's {self.size}", param=param
                )
        return found

    def join(self, tokens: Iterable[int]) -> str:
        """The text of some tokens, control tokens included.

        Raises:
            InvalidRequestError: the model has no such token.
        """
        pieces = b"".join(self.text(token) for token in self.checked(tokens, "tokens"))
        return pieces.decode("utf-8", "replace")

    def spoken(self, token: int) -> bytes | None:
        """The bytes that a drawn token stands for; none for a control token.

        Returns:
            None for one that ends the answer.
        """
        pieces = self._pieces
        if token not in pieces:
            pieces[token] = None if self.ends(token) else self._render(token, special=False)
        return pieces[token]

    def text(self, token: int) -> bytes:
        """The bytes of a token as a prompt would spell it, also of a control token."""
        known = self._texts.get(token)
        if known is None:
            known = self._texts[token] = self._render(token, special=True)
        return known

    @cached_property
    def controls(self) -> frozenset[int]:
        """Control tokens that do not end the answer."""
        return frozenset(
            token
            for token in range(self.size)
            if llama.llama_vocab_is_control(self._handle, token) and not self.ends(token)
        )

    def among_controls(self, texts: Iterable[str]) -> frozenset[int]:
        """Those control tokens that are spelled as one of the texts."""
        wanted = {text.encode() for text in texts}
        return frozenset(token for token in self.controls if self.text(token) in wanted)

    def special_text(self, which: str) -> str:
        """How a template writes the `bos` or the `eos` token; empty when there is none."""
        token = int(getattr(llama, f"llama_vocab_{which}")(self._handle))
        return self._render(token, special=True).decode("utf-8", "replace") if token >= 0 else ""

    def ends(self, token: int) -> bool:
        """Whether a token ends the answer: end of text, of turn, or of message."""
        known = self._endings.get(token)
        if known is None:
            known = self._endings[token] = bool(llama.llama_vocab_is_eog(self._handle, token))
        return known

    def _render(self, token: int, *, special: bool) -> bytes:
        length = llama.llama_token_to_piece(
            self._handle, token, self._buffer, len(self._buffer), 0, special
        )
        if length < 0:
            self._buffer = ctypes.create_string_buffer(-length)
            length = llama.llama_token_to_piece(
                self._handle, token, self._buffer, len(self._buffer), 0, special
            )
        return bytes(self._buffer.raw[:length])

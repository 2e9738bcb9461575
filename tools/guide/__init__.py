"""How the built-in model `dmr/guide` is made: dialogues, tokenizer, training, export, evaluation.

    make guide        from the base to dmr_tui/guide/guide.gguf
    make guide-base   another base, from nothing
    make guide-eval   how good the shipped file is

`docs/guide-model.md` tells what it can do and what it cannot.
"""

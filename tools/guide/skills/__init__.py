"""What the guide can do besides answering about `dmr`: one module for each skill.

Each has a `draw(rng, exam=…)` that gives a question and its answer; `memory` gives exchanges that
belong together.
"""

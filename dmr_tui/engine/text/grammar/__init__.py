"""Answers of a given form: JSON Schema compiled to llama.cpp's grammars."""

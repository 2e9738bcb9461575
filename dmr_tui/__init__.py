"""AI models on your own machine, handled like packages, in the terminal."""

__version__ = "0.1.0"

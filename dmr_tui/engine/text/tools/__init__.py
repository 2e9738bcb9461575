"""Tool calls in the native formats of many families of models."""

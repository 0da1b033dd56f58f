"""Rewrite a checkpoint for a model: ``convert(…, model=…)``."""

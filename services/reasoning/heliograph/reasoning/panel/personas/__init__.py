"""Eleven investors, each a set of rules that gives a score and, with a model, a voice."""

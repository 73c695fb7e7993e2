"""Recipes by name: python -m gcvit_edu.train NAME."""

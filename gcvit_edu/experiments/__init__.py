"""The experiments of the chapters, each with its question and its results in data/runs.

python -m gcvit_edu.experiments --help lists them. Nothing else in the package imports them.
"""

"""The experiments of the chapters, each with its question and what data/runs holds of it.

python -m gcvit_edu.experiments --help lists them. Nothing else in the package imports them.
"""

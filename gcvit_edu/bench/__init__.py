"""Speed, memory and cost, measured or estimated: python -m gcvit_edu.bench --help."""

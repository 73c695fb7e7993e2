"""The experiments of the chapters: python -m gcvit_edu.experiments NAME --out FILE."""

import sys

from gcvit_edu.console import run_one_of

COMMANDS = {
    "training_ladder": "what each addition to a plain training loop is worth (chapter 10)",
    "attention_history": "attention while a network learned (chapter 11)",
    "map_faithfulness": "how far each kind of map can be trusted (chapter 11)",
    "query_ablations": "networks without a global query, or with a changed one (chapter 12)",
    "same_or_different": "a question that needs both ends of a picture (chapter 12)",
    "input_sizes": "what pictures of other sizes cost (chapter 9)",
    "failure_modes": "runs with one fault each, to know their curves (chapter 13)",
    "vendor_transfer": "fine-tuning on drawings of a vendor that the weights never saw (chapter 14)",
}

if __name__ == "__main__":
    sys.exit(run_one_of("gcvit_edu.experiments", COMMANDS))

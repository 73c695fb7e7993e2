"""Recipes by name: python -m gcvit_edu.train NAME.

A ladder, from minutes on a laptop to days on a cluster. Climb it in this order: a mistake shows on the first rung.

| rung | command, after `python -m gcvit_edu.train` | hardware | accept |
|---|---|---|---|
| emoji | `emoji_nano` | a CPU | its docstring says |
| Imagenette | `imagenette --data imagenette2` | one GPU, hours | within 1.5 points of your own other seed |
| ImageNet-100 | `imagenet100 --data IMAGENET100` | one GPU, a day or less | within 1.8 points of it |
| 30 epochs | `imagenet --data IMAGENET --set model=xxtiny --set epochs=30 --set warmup_epochs=2` | GPUs | 1 point |
| 300 epochs | `imagenet --data IMAGENET --set model=xxtiny` | GPUs | the paper's figure, less 0.5 points |

The times are guesses, none was measured here: `python -m gcvit_edu.bench cost` has estimates, and explains how they
are made. The tolerances are our choice: three standard errors of the accuracy from that number of pictures, and for
ImageNet, where those are small, a difference that we would not investigate. If your accuracy is lower than that, begin
with --preflight, then look at the learning curves.
"""

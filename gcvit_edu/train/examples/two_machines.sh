#!/usr/bin/env bash
# One run over two machines without a queue. Start the same command on both, in any order:
#
#   FIRST=10.0.0.1 bash two_machines.sh imagenet --data /data/imagenet --out /shared/runs/tiny
#
# FIRST is the address of one of the two, at which they meet. --out is on a disk that both see; the pictures may be on
# a disk of each. Where a process or the other machine fails, the rest waits, ten minutes at most, for the command to
# be started again there; the run goes on from the newest checkpoint. If FIRST itself fails, start both again.
# Not run on two machines by this project; its tests start two agents of torchrun on one.
set -euo pipefail

: "${FIRST:?set FIRST to the address of one of the two machines}"
export OMP_NUM_THREADS=1
# Else the machine that stayed keeps the meeting's address to itself, and one that comes back waits for it in vain:
# seen with PyTorch 2.14, in tests/test_train_faults.py without this line.
export TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1

exec python -m torch.distributed.run \
    --nnodes=2 --nproc-per-node="${GPUS:-8}" --max-restarts=3 \
    --rdzv-backend=c10d --rdzv-id=gcvit --rdzv-endpoint="$FIRST:${PORT:-29400}" \
    -m gcvit_edu.train "$@" --resume

#!/usr/bin/env bash
# One run over several machines under SLURM; it puts itself back into the queue until it is finished.
#
#   sbatch slurm.sh imagenet --data /data/imagenet --out runs/tiny
#
# Written from SLURM's and PyTorch's documentation, not run on a cluster by this project. Adapt what #SBATCH says.
#
#SBATCH --job-name=gcvit
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=64
#SBATCH --time=24:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=%x-%j.log
# SIGTERM to this script alone, five minutes before the time is up.
#SBATCH --signal=B:TERM@300
set -euo pipefail

GPUS=${SLURM_GPUS_ON_NODE:-8}
HOSTS=$(scontrol show hostnames "$SLURM_JOB_NODELIST")
FIRST=${HOSTS%%$'\n'*}
PORT=$((20000 + SLURM_JOB_ID % 20000))
export OMP_NUM_THREADS=1
# Else the machine that stayed keeps the meeting's address to itself, and one that comes back waits for it in vain:
# seen with PyTorch 2.14, in tests/test_train_faults.py without this line.
export TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1

# A lost process is started again from the newest checkpoint. So is a lost machine when SLURM requeues the job.
# --resume begins at step 0 where there is no checkpoint yet.
srun --kill-on-bad-exit=1 \
    python -m torch.distributed.run \
    --nnodes="$SLURM_JOB_NUM_NODES" --nproc-per-node="$GPUS" --max-restarts=3 \
    --rdzv-backend=c10d --rdzv-id="$SLURM_JOB_ID" --rdzv-endpoint="$FIRST:$PORT" \
    -m gcvit_edu.train "$@" --resume &
RUN=$!

# srun hands SIGTERM on to torchrun, torchrun to the processes. They finish their step and save within 30 seconds.
ASKED=
trap 'ASKED=yes; kill -TERM "$RUN" 2>/dev/null || true' TERM

CODE=0
wait "$RUN" || CODE=$?
if [ -n "$ASKED" ]; then
    # The trap ends the first wait; the second one is for the checkpoint.
    CODE=0
    wait "$RUN" || CODE=$?
    if [ "$CODE" -ne 0 ]; then
        scontrol requeue "$SLURM_JOB_ID"
    fi
fi
exit "$CODE"

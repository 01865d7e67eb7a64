#!/usr/bin/env bash
# The runs behind docs/results.md: every method and seed on NW-UCLA cut to imbalance 10.
#
#   source .venv/bin/activate
#   benchmarks/nw_ucla_lt.sh nw_ucla.zip [SEEDS] [JOBS] [published|distinct] [METHODS]
#
# "distinct" leaves out of the training views what the test view has bit for bit (the published files
# hold the same recordings of two classes in views 2 and 3; `shapmix check` finds them).
# Runs are independent, JOBS at a time (default 2, one thread each); finished ones are skipped and
# stopped ones go on, so the script can be run again at any time. Then:
#
#   shapmix compare runs/nw_ucla_lt/{ce,balanced-softmax,stmix,shapmix,shapmix-paper}-s*
#   shapmix compare runs/nw_ucla_lt_distinct/{balanced-softmax,ce,stmix,shapmix}-s*
set -euo pipefail
source=$1
seeds=${2:-"0 1 2"}
jobs=${3:-2}
protocol=${4:-published}
chosen=${5:-"ce balanced-softmax stmix shapmix shapmix-paper"}
out=runs/nw_ucla_lt split=data/nw_ucla_lt10.json drop=""
[ "$protocol" = distinct ] &&
    out=runs/nw_ucla_lt_distinct split=data/nw_ucla_lt10_distinct.json drop="--drop-copies train"
mkdir -p data "$out"
[ -f data/nw_ucla.arrow ] || shapmix import nw-ucla "$source" data/nw_ucla.arrow
# shellcheck disable=SC2086  # options are several words
[ -f "$split" ] ||
    shapmix split data/nw_ucla.arrow --imbalance 10 --n-max 100 $drop --out "$split"
export split

declare -A methods=(
    [ce]="--mixer none --loss ce"
    [balanced-softmax]="--mixer none"
    [stmix]="--mixer stmix"
    [shapmix]="--mixer shapmix --mixer-options.saliency-budget 0.2"
    [shapmix-paper]="--mixer shapmix --mixer-options.preset paper"
)

one() {
    local folder=$1
    shift
    local words=(--config configs/nw_ucla_lt.yaml --split "$split" --out "$folder" "$@")
    [ -f "$folder/metrics.json" ] && return
    [ -f "$folder/checkpoints/last.ckpt" ] && words=(--resume "$folder")
    if shapmix train "${words[@]}" --progress false >>"$folder.log" 2>&1; then
        echo "done: $folder"
    else
        echo "failed: $folder, see $folder.log" && return 1
    fi
}
export -f one

for seed in $seeds; do
    for name in $chosen; do
        echo "$out/$name-s$seed ${methods[$name]} --seed $seed"
    done
done | xargs -P "$jobs" -L 1 bash -c 'one "$@"' _

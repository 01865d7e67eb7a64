#!/usr/bin/env bash
# Four real data sets, each from its own files to a table, in brief runs: that everything works
# together, not how well. (docs/results.md has a full comparison on one of them.)
#
#   source .venv/bin/activate
#   benchmarks/real_sets.sh DATA_FOLDER [OUT] [MIXERS]
#
# DATA_FOLDER holds nw_ucla.zip, utd_mhad.zip, msr_action3d.zip and sbu.zip (the skeletons of each as
# its authors publish them, see `shapmix import FORMAT --help`). One to three minutes a run on
# one core. Finished runs are skipped and stopped ones go on, so it can be run again at any time.
set -euo pipefail
data=$1
out=${2:-runs/real_sets}
mixers=${3:-"none shapmix"}
mkdir -p "$out"

# name, format, what importing and splitting are told, epochs
sets="nw_ucla nw-ucla |--imbalance 10 --n-max 100 --drop-copies train|8
utd_mhad utd-mhad |--imbalance 15|30
msr_action3d msr-action3d |--imbalance 10|30
sbu sbu --metric true|--protocol fold1 --imbalance 5|20"

while IFS='|' read -r importing splitting epochs; do
    read -r name format options <<<"$importing"
    archive=$out/$name.arrow split=$out/$name.json
    # shellcheck disable=SC2086  # options are several words
    [ -f "$archive" ] || shapmix import "$format" "$data/$name.zip" "$archive" $options
    # shellcheck disable=SC2086
    [ -f "$split" ] || shapmix split "$archive" $splitting --out "$split"
    runs=()
    for mixer in $mixers; do
        run=$out/$name-$mixer
        runs+=("$run")
        [ -f "$run/metrics.json" ] && continue
        words=(--config "configs/${name}_lt.yaml" --archive "$archive" --split "$split"
            --out "$run" --mixer "$mixer" --epochs "$epochs")
        [ "$mixer" = none ] && words+=(--mixer-options "{}")
        [ "$mixer" = shapmix ] && words+=(--mixer-options.saliency-budget 0.2)
        [ -f "$run/checkpoints/last.ckpt" ] && words=(--resume "$run")
        shapmix train "${words[@]}" --progress false >>"$run.log" 2>&1 ||
            { echo "failed: $run, see $run.log" && exit 1; }
    done
    echo "== $name"
    shapmix compare "${runs[@]}" --format markdown | tee "$out/$name.md"
done <<<"$sets"

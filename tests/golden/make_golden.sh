#!/bin/bash
# Makes a golden data folder: what the ckptd of this build leaves on the disk. It is run once for
# each format version (or when something is added to one), and its result is committed; later
# versions must open it (integration/golden_test.cc).
#
#   tests/golden/make_golden.sh build/bin tests/golden/v2
#
# writes NAME.tar.gz (the data folder, hard links kept), NAME.json (what it lists) and
# NAME.history.csv (the course of a metric).
set -euo pipefail
bin=$(realpath "$1")
name=$(realpath -m "$2")

work=$(mktemp -d)
daemon=
trap '[ -z "$daemon" ] || kill -9 "$daemon" 2>/dev/null || true; rm -rf "$work"' EXIT
export CKPT_SERVER=unix:$work/socket

cat > "$work/config.yaml" <<'YAML'
policies:
  - {name: best, filepath: "best.bin", save_best_only: true}
  - {name: all, filepath: "epoch{epoch:02d}.bin", options: {projection: PROJECTION_COPY}}
YAML

start() {
  "$bin/ckptd" --config "$work/config.yaml" --data-dir "$work/data" --listen "$CKPT_SERVER" \
    --http off 2>> "$work/log" &
  daemon=$!
  until "$bin/ckptctl" status > /dev/null 2>&1; do kill -0 "$daemon"; done
}

# First life: names with values, links, ten checkpoints. Ends in good order.
start
"$bin/minimal_trainer"
"$bin/ckptctl" rm minimal@2 --yes 2> /dev/null
kill "$daemon"; wait "$daemon"

# Second life: a name that is taken over, copies, several policies, NaN and an infinity, and so many
# events that a segment of them is sealed. Ends with SIGKILL, so that the newest rows are in the write-ahead log alone.
start
"$bin/ckptctl" replay - > /dev/null <<'JSONL'
{"id":"overwrite","policy":{"filepath":"best.bin","save_best_only":true},"events":[{"type":"epoch_end","epoch":0,"logs":{"val_loss":0.5}},{"type":"epoch_end","epoch":1,"logs":{"val_loss":0.4}},{"type":"epoch_end","epoch":2,"logs":{"val_loss":"NaN"}},{"type":"epoch_end","epoch":3,"logs":{"val_loss":0.45}}]}
{"id":"odd-values","policy":{"filepath":"e{epoch}.bin","monitor":"acc","save_weights_only":true},"events":[{"type":"epoch_end","epoch":0,"logs":{"acc":"NaN"}},{"type":"epoch_end","epoch":1,"logs":{"acc":"Infinity"}},{"type":"epoch_end","epoch":2,"logs":{"acc":0.25,"val/loss":-1.5}}]}
JSONL
{
  printf '{"id":"long","policy":{"filepath":"long.bin"},"events":['
  for batch in {0..1499}; do
    printf '{"type":"batch_end","epoch":0,"batch":%d,"logs":{"loss":0.%04d}},' "$batch" $((9999 - 3 * batch))
  done
  printf '{"type":"train_end"}]}\n'
} | "$bin/ckptctl" replay - > /dev/null
"$bin/train_digits" --run digits --epochs 1 --policy best --policy all > /dev/null
"$bin/ckptctl" -o json list > "$name.json"
"$bin/ckptctl" -o csv history long loss --newest --points 10000 > "$name.history.csv"
kill -9 "$daemon"; wait "$daemon" 2>/dev/null || true
daemon=

rm "$work/data/LOCK"
tar -C "$work" --sort=name --owner=0 --group=0 --numeric-owner -czf "$name.tar.gz" data
ls -l "$name.tar.gz" "$name.json" "$name.history.csv"

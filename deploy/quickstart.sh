#!/usr/bin/env bash
# From a fresh checkout to a trained model whose checkpoints ckptd has kept: installs what is
# missing, builds, starts a daemon on an empty data folder, trains, and looks at the result.
#
#   ./deploy/quickstart.sh           stops the daemon at the end; its data stays for you to look at
#   ./deploy/quickstart.sh --keep    leaves the daemon running and says how to stop it
set -euo pipefail
cd "$(dirname "$0")/.."

keep=false
case "${1-}" in
  '') ;;
  --keep) keep=true ;;
  *)
    sed -n '2,7s/^# \{0,1\}//p' deploy/quickstart.sh
    [[ "$1" == --help || "$1" == -h ]] && exit 0 || exit 2
    ;;
esac

bin=$PWD/build/bin
daemon=

step() { printf '\n== %s\n' "$*"; }

# Shows a command as a user would type it, then runs it.
run() {
  printf '$ %s\n' "$*"
  "$bin/$1" "${@:2}"
}

stop_daemon() {
  [[ -n "$daemon" ]] || return 0
  kill -TERM "$daemon" 2>/dev/null || true
  wait "$daemon" || true
  daemon=
}
trap stop_daemon EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

step 'Installing what is missing, and building'
./deploy/install-deps.sh
cmake --preset release --log-level=WARNING
cmake --build --preset release --parallel "$(nproc)" --target ckptd ckptctl train_digits

scratch=$(mktemp -d "${TMPDIR:-/tmp}/ckptd-quickstart.XXXXXX")
data=$scratch/data
log=$scratch/ckptd.log
export CKPT_SERVER=unix:$scratch/ckptd.sock

step "Starting ckptd on the empty folder $data"
: >"$log" # is there before anybody follows it
setsid "$bin/ckptd" --data-dir "$data" --listen "$CKPT_SERVER" --listen 127.0.0.1:0 \
  --http 127.0.0.1:0 2>>"$log" &
daemon=$!
# Waits for the daemon's word that it serves; ends as soon as the daemon has ended, too.
if ! timeout --foreground 60 grep --quiet --max-count=1 'ready' \
  <(tail --lines=+1 --follow --pid="$daemon" "$log"); then
  echo "ckptd did not start:" >&2
  cat "$log" >&2
  exit 1
fi
run ckptctl status

step 'Training a small network on 1,797 hand-written digits'
run train_digits --run digits --epochs 20

step 'What the daemon has kept'
run ckptctl runs
run ckptctl list digits
run ckptctl best digits
ls -l "$data/runs/digits"

step 'Fetching the best model, and scoring it'
model=$scratch/best.safetensors
run ckptctl fetch digits@best -o "$model"
run train_digits --evaluate "$model" | tee "$scratch/score"
recorded=$("$bin/ckptctl" -o json best digits |
  grep --only-matching --max-count=1 '"val_loss": *[0-9.eE+-]*' | head -n 1 | cut -d: -f2)
scored=$(sed -n 's/^val_loss \([^ ]*\).*/\1/p' "$scratch/score")
if ! awk -v a="$recorded" -v b="$scored" 'BEGIN { exit !(a != "" && a + 0 == b + 0) }'; then
  echo "The fetched model scores val_loss $scored, but $recorded was recorded at its save." >&2
  exit 1
fi
echo "The fetched model scores what was recorded when it was saved: val_loss $scored"

step 'From here'
cat <<END
  Try      export CKPT_SERVER=$CKPT_SERVER
           ckptctl show digits          (ckptctl is in $bin)
           ckptctl list digits --order-by metrics.val_loss
           train_digits --run digits --epochs 30 --resume
  Read     README.md; the trainer is client/examples/train_digits/train_digits.cc
  Data     $data; remove everything with: rm -r $scratch
END
if $keep; then
  echo "  Stop     kill $daemon    (ckptd is running; its log is $log)"
  daemon=
else
  stop_daemon
  echo "  Again    $bin/ckptd --data-dir $data --listen $CKPT_SERVER"
fi

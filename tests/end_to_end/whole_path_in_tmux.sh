#!/usr/bin/env bash
# Drives the real programs as a person does: server and node as processes, the console in tmux.
# A run is made over HTTP, its lines are read on the screen, the server is killed under the console
# and comes back. Every step asserts on what `tmux capture-pane` shows; the first that fails prints it.
#
#   whole_path_in_tmux.sh [BIN]      BIN: where the programs are, .venv/bin by default
set -euo pipefail
cd "$(dirname "$0")/../.."

bin=$(realpath "${1:-.venv/bin}")
source tests/end_to_end/tmux_stage.sh
start_server
start_node

open_console
sees 'the console opens and says what to do first' 'No runs yet'
sees 'the connection is live' 'live'
sees 'the node is there' '1/1'

make_run 'to forty' \
    'n=1; while [ $n -le 40 ]; do echo "counting $n of 40"; n=$((n+1)); sleep 0.4; done' >/dev/null
keys 2
sees 'a run made over HTTP is in the list' 'to forty'
keys Enter
sees 'its first line is on the screen' 'counting 1 of 40'
sees 'and the next ones come live' 'counting 6 of 40'

kill_server
sees 'without its server the console says so and stays' 'DISCONNECTED'
sleep 2
start_server
keys r
sees 'it comes back and goes on' 'live' 20
sees 'the last line arrives' 'counting 40 of 40' 40

# Every line once: go to the top and page down through all of them.
keys g
sleep 1
seen=''
for _ in 1 2 3; do
    seen+=$(screen; echo)
    keys PageDown
    sleep 0.5
done
for n in $(seq 1 40); do
    grep -qF "counting $n of 40" <<<"$seen" || fail "line $n is missing"
done
say 'no line is missing after the loss'

for size in '80 24' '200 60' '120 40'; do
    read -r width height <<<"$size"
    tmux resize-window -t console -x "$width" -y "$height"
    keys 1
    sees "at ${width}x$height the home screen stands" 'Nothing needs you'
    sees "at ${width}x$height it is live" 'live'
done
leave

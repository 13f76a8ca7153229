#!/usr/bin/env bash
# Drives the real programs as a person does: server and node as processes, the console in tmux.
# A run is made over HTTP, its lines are read on the screen, the server is killed under the console
# and comes back. Every step asserts on what `tmux capture-pane` shows; the first that fails prints it.
#
#   whole_path_in_tmux.sh [BIN]      BIN: where the programs are, .venv/bin by default
set -euo pipefail
cd "$(dirname "$0")/../.."

bin=$(realpath "${1:-.venv/bin}")
data=$(mktemp -d)
session=runwatch-$$
server_pid='' node_pid=''
unset "${!RUNWATCH_@}" COLUMNS LINES
export LC_ALL=C.UTF-8 RUNWATCH_DATA_DIR=$data XDG_CONFIG_HOME=$data/config XDG_STATE_HOME=$data/state

finish() {
    tmux -L "$session" kill-server 2>/dev/null || true
    for pid in $node_pid $server_pid; do kill "$pid" 2>/dev/null || true; done
    for pid in $node_pid $server_pid; do wait "$pid" 2>/dev/null || true; done
    rm -rf "$data"
}
trap finish EXIT

screen() { tmux -L "$session" capture-pane -p -t console; }
keys() { tmux -L "$session" send-keys -t console "$@"; }
say() { printf 'ok   %s\n' "$1"; }

# sees WHAT TEXT [SECONDS]: the screen shows TEXT within SECONDS.
sees() {
    local what=$1 text=$2 tries=$((${3:-10} * 10))
    until screen | grep -qF -- "$text"; do
        if ((--tries < 0)); then
            printf 'FAIL %s: no "%s" on the screen\n' "$what" "$text"
            screen
            exit 1
        fi
        sleep 0.1
    done
    say "$what"
}

start_server() {
    rm -f "$data/ready"
    "$bin/monitor-server" serve --port "$port" --ready-file "$data/ready" >>"$data/server.log" 2>&1 &
    server_pid=$!
    local tries=200
    until [ -s "$data/ready" ]; do
        ((--tries > 0)) && kill -0 "$server_pid" || { cat "$data/server.log"; exit 1; }
        sleep 0.1
    done
}

api() {
    curl --silent --show-error --fail --cacert "$data/tls/ca.pem" \
        -H "Authorization: Bearer $(cat "$data/token")" -H 'Content-Type: application/json' \
        "$(cat "$data/ready")/api/v1/$1" -d "$2" |
        python3 -c 'import json, sys; print(json.load(sys.stdin)["id"])'
}

port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
start_server
"$bin/nodemanager" run --server "https://127.0.0.1:$port" --node-id n1 --metrics-port 0 \
    >>"$data/node.log" 2>&1 &
node_pid=$!

tmux -L "$session" new-session -d -x 120 -y 40 -s console "$bin/monitor-tui --lang en"
sees 'the console opens and says what to do first' 'No runs yet'
sees 'the connection is live' 'live'
sees 'the node is there' '1/1'

script='n=1; while [ $n -le 40 ]; do echo "counting $n of 40"; n=$((n+1)); sleep 0.4; done'
argv=$(python3 -c 'import json, sys; print(json.dumps(["sh", "-c", sys.argv[1]]))' "$script")
task=$(api tasks "{\"name\": \"to forty\", \"agent\": {\"type\": \"command\", \"parameters\": {\"argv\": $argv}}}")
api "tasks/$task/runs" '{}' >/dev/null

keys 2
sees 'a run made over HTTP is in the list' 'to forty'
keys Enter
sees 'its first line is on the screen' 'counting 1 of 40'
sees 'and the next ones come live' 'counting 6 of 40'

kill -9 "$server_pid"
wait "$server_pid" 2>/dev/null || true
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
    grep -qF "counting $n of 40" <<<"$seen" || { echo "FAIL line $n is missing"; screen; exit 1; }
done
say 'no line is missing after the loss'

for size in '80 24' '200 60' '120 40'; do
    read -r width height <<<"$size"
    tmux -L "$session" resize-window -t console -x "$width" -y "$height"
    keys 1
    sees "at ${width}x$height the home screen stands" 'Nothing needs you'
    sees "at ${width}x$height it is live" 'live'
done
keys q
for _ in $(seq 50); do
    tmux -L "$session" has-session -t console 2>/dev/null || break
    sleep 0.1
done
! tmux -L "$session" has-session -t console 2>/dev/null || { echo 'FAIL q does not quit'; exit 1; }
say 'q quits'

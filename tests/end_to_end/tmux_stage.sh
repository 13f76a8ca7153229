#!/usr/bin/env bash
# The stage of the scripts that drive the real programs in tmux; sourced, not run. It makes a scratch
# data directory, starts and ends server and node, presses keys and looks at the screen.
# The caller has set $bin. Every look that finds nothing prints the screen and ends the script.

data=$(mktemp -d)
session=runwatch-$$
server_pid='' node_pid=''
unset "${!RUNWATCH_@}" COLUMNS LINES TMUX TMUX_PANE
export LC_ALL=C.UTF-8 RUNWATCH_SESSIONS=false RUNWATCH_DATA_DIR=$data XDG_CONFIG_HOME=$data/config XDG_STATE_HOME=$data/state
# A tmux of its own without anybody's configuration.
tmux() { command tmux -f /dev/null -L "$session" "$@"; }

finish() {
    tmux kill-server 2>/dev/null || true
    for pid in $node_pid $server_pid; do kill "$pid" 2>/dev/null || true; done
    for pid in $node_pid $server_pid; do wait "$pid" 2>/dev/null || true; done
    rm -rf "$data"
}
trap finish EXIT

screen() { tmux capture-pane -p -t console; }
keys() { tmux send-keys -t console "$@"; }
typed() { tmux send-keys -t console -l -- "$1"; }
say() { printf 'ok   %s\n' "$1"; }
fail() {
    printf 'FAIL %s\n' "$1"
    screen || true
    exit 1
}

# until_screen WHAT SECONDS GREP-ARGUMENTS...: the screen has such a line within SECONDS.
until_screen() {
    local what=$1 tries=$(($2 * 10))
    shift 2
    until screen | grep -q "$@"; do
        ((--tries >= 0)) || fail "$what: no ${*: -1} on the screen"
        sleep 0.1
    done
    say "$what"
}
sees() { until_screen "$1" "${3:-10}" -F -e "$2"; }         # sees WHAT TEXT [SECONDS]
sees_line() { until_screen "$1" "${3:-10}" -E -e "$2"; }    # sees_line WHAT REGEX [SECONDS]
sees_no() { # sees_no WHAT TEXT [SECONDS]
    local tries=$((${3:-10} * 10))
    while screen | grep -qF -e "$2"; do
        ((--tries >= 0)) || fail "$1: \"$2\" stays on the screen"
        sleep 0.1
    done
    say "$1"
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
kill_server() {
    kill -9 "$server_pid"
    wait "$server_pid" 2>/dev/null || true
}
start_node() {
    "$bin/nodemanager" run --server "https://127.0.0.1:$port" --node-id n1 --metrics-port 0 --stop-agents \
        >>"$data/node.log" 2>&1 &
    node_pid=$!
}
open_console() { tmux new-session -d -x 120 -y 40 -s console "$bin/monitor-tui --lang en"; }

# api FIELD PATH [BODY]: one field of the answer to a GET, or to a POST of BODY.
api() {
    local field=$1 path=$2
    shift 2
    curl --silent --show-error --fail --cacert "$data/tls/ca.pem" \
        -H "Authorization: Bearer $(cat "$data/token")" -H 'Content-Type: application/json' \
        "$(cat "$data/ready")/api/v1/$path" ${1:+-d "$1"} |
        python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$field"
}

# make_run NAME SCRIPT: the id of a new run of `sh -c SCRIPT`.
make_run() {
    local task
    task=$(api id tasks "$(python3 -c 'import json, sys; print(json.dumps({"name": sys.argv[1], "agent":
        {"type": "command", "parameters": {"argv": ["sh", "-c", sys.argv[2]]}}}))' "$1" "$2")")
    api id "tasks/$task/runs" '{}'
}

# leave: q ends the console, and with it the session.
leave() {
    keys q
    for _ in $(seq 50); do
        tmux has-session -t console 2>/dev/null || { say 'q quits'; return; }
        sleep 0.1
    done
    fail 'q does not quit'
}

port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')

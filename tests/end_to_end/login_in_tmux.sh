#!/usr/bin/env bash
# Drives the real programs as a person does who has to log an agent in: server, node and console as
# processes, the agent's own login command on the node, and a vendor of ours to log in at. A run waits
# for the login; the login is begun on the Auth screen, its code and its QR code are looked at, it is
# finished at the vendor, and the run begins by itself.
#
#   login_in_tmux.sh [BIN]      BIN: where the programs are, .venv/bin by default
set -euo pipefail
cd "$(dirname "$0")/../.."

bin=$(realpath "${1:-.venv/bin}")
source tests/end_to_end/tmux_stage.sh

# The vendor, and the programs that log in there.
mkfifo "$data/vendor.in"
"$bin/python" -m tests.vendor "$data/vendor" <"$data/vendor.in" >"$data/vendor.out" 2>"$data/vendor.log" &
vendor_pid=$!
exec 9>"$data/vendor.in"
vendor() { echo "$1" >&9; }
trap 'exec 9>&-; kill $vendor_pid 2>/dev/null || true; finish' EXIT
for _ in {1..300}; do
    grep -q ^CODE= "$data/vendor.out" && break
    sleep 0.1
done
export VENDOR_URL HOME=$data/home
VENDOR_URL=$(sed -n 's/^VENDOR_URL=//p' "$data/vendor.out")
mkdir -p "$HOME"
programs=$(sed -n 's/^PATH=//p' "$data/vendor.out")
unset OPENAI_API_KEY ANTHROPIC_API_KEY GEMINI_API_KEY CLAUDE_CONFIG_DIR CODEX_HOME

start_server
PATH=$programs:$PATH start_node

account=$(api id accounts '{"name": "team@example.com", "agent_type": "openai-codex"}')
task=$(api id tasks "{\"name\": \"needs codex\", \"prompt\": \"say hello\",
    \"agent\": {\"type\": \"openai-codex\", \"account_id\": \"$account\"}}")
run=$(api id "tasks/$task/runs" '{}')

# status_of RUN STATUS...: wait until the run has one of these.
status_of() {
    local id=$1 tries=300 status=''
    shift
    while :; do
        status=$(api status "runs/$id")
        for wanted in "$@"; do [ "$status" != "$wanted" ] || return 0; done
        ((--tries >= 0)) || fail "the run is $status and not $*"
        sleep 0.1
    done
}
because() {
    local tries=200
    until api queue_reason "monitor/workflows/run/$run" 2>/dev/null | grep -q "lacks login"; do
        ((--tries >= 0)) || fail 'the run does not wait for a login'
        sleep 0.1
    done
}
because
say 'a run waits for a login'

open_console
sees 'the console is live' 'live'
keys 5
sees_line 'the account is listed with what it blocks' 'team@example.com +codex .*never in.* 1' 20
keys C-r
sees 'a login is begun in a form' 'Log in as team@example.com'
sees 'by the method that the agent has' 'a code for a page'
keys C-s
sees 'the login is shown when it begins' 'Login of' 20
sees_line 'its code is there' 'code +[A-Z0-9]{4}-[A-Z0-9]{4,5}' 30
sees 'and where to type it' '/device'
code=$(screen | grep -oE '[A-Z0-9]{4}-[A-Z0-9]{4,5}' | head -1)
keys Q
sees 'the address is a QR code' '▀'
sees 'beside it stands the code' "$code"
keys Escape
sees 'back at the login' 'Login of'
keys Enter
sees 'its log has its phases' 'waiting_device_code · Open the page'
keys 5

vendor approve
sees_line 'the account is logged in' 'team@example.com +codex +n1 +. ok' 30
status_of "$run" assigned running done failed
say 'the run that waited has begun by itself'
keys 2
sees 'and is in the list' 'needs codex'

# One whose page gives a code that has to be typed; a wrong one first is the agent's to refuse.
keys 5
keys a
sees 'another login is begun in the form' 'Begin a login'
typed 'me'
keys C-s
sees_line 'its agent asks for a code' 'it asks +Paste code' 30
keys i
sees 'it can be typed' 'typed unseen'
typed 'GOOD-CODE'
sees_no 'it is not shown' 'GOOD-CODE'
keys Enter
sees 'it is over' 'This login is over' 30
keys Escape
sees_line 'that account is logged in too' 'me +claude +n1 +. ok' 30
leave

# Nothing of what the vendor gave out is where others look.
if grep -rqs canary "$data"/server.log "$data"/node.log "$data"/runwatch.db* "$data"/vendor.log; then
    fail 'a secret of the vendor is in a log or in the database'
fi
say 'no secret is in a log or in the database'

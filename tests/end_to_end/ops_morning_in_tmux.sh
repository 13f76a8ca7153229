#!/usr/bin/env bash
# An ops person's morning, with the real programs and the console in tmux: connect, find what waits,
# read why, search its events, copy its id, cancel another run, lose the server for a while, get it
# back, and find the rest of the events without a gap. Each step asserts on `tmux capture-pane`.
#
#   ops_morning_in_tmux.sh [BIN]     BIN: where the programs are, .venv/bin by default
#   LOSS_S=60                        how long the server is away, in seconds; 12 by default
set -euo pipefail
cd "$(dirname "$0")/../.."

bin=$(realpath "${1:-.venv/bin}")
loss_s=${LOSS_S:-12}
last=$((loss_s * 2 + 60))
source tests/end_to_end/tmux_stage.sh
start_server
start_node

# search TEXT: typed as a person does, who sees the line before typing in it.
search() {
    keys /
    sees_line "/ opens a line for $1" '^ ?/'
    # The last search stands there; the screen must have obeyed before more is typed.
    screen | grep -qE '^ ?/ *$' || keys C-u
    sees_line 'which is empty' '^ ?/ *$'
    typed "$1"
    sees 'and takes what is typed' "/$1"
    keys Enter
}

# The night before: a run that asks a person, reported by a script, with something to look for far
# back in its events; one that nobody needs any more; one that counts through the whole morning.
asking_task=$(api id tasks '{"name": "release 7.2", "prompt": "Publish the release.",
    "agent": {"type": "release-bot"}, "constraints": {"node_id": "nobody"}}')
asking=$(api id "tasks/$asking_task/runs" '{}')
events=$(python3 - <<'PY'
import json
from datetime import UTC, datetime

now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
said = [f"file {n} uploaded" for n in range(1, 901)]
said[29] = "checksum of invoice-4711 differs"
events = [
    {"seq": seq, "type": "message", "timestamp": now, "payload": {"role": "assistant", "content": text}}
    for seq, text in enumerate(said, 1)
]
wait = {"id": "w1", "kind": "approval", "action": "publish", "prompt": "Publish 7.2 to everybody?"}
events.append({"seq": 901, "type": "approval_request", "timestamp": now, "payload": wait})
print(json.dumps({"events": events}))
PY
)
test "$(api created "runs/$asking/events" "$events")" = 901
unwanted=$(make_run 'old export' 'while :; do echo exporting; sleep 1; done')
counting=$(make_run 'night watch' \
    "n=1; while [ \$n -le $last ]; do echo \"watch \$n of $last.\"; n=\$((n+1)); sleep 0.5; done")

open_console
sees 'connected' 'live'
sees 'one run waits for a person, says the top line' '1 WAIT'
sees 'and the home screen begins with it' 'NEEDS YOU (1 of 1)'
sees_line 'under the cursor, with its question' '^>.*WAIT.*release 7\.2.*Publish 7\.2 to everybody\?'

keys X
sees 'X says why' "Why $asking is as it is"
sees 'what it waits for' 'waits for'
sees 'in the words of the run' 'Publish 7.2 to everybody?'
sees 'with the event that asked' '901'
keys Escape
sees_no 'escape closes it' 'is as it is'

keys Enter
sees 'Enter opens the run, says its top line' "$asking release 7.2"
sees 'at its end' 'seq 901'
sees 'its last line before the question is there' 'file 900 uploaded'
search 'invoice-4711'
sees_line 'a search finds what lies hundreds of events back' '^>.*checksum of invoice-4711 differs'
keys c
sees 'c says where the id went' 'tmux'
copied=$(tmux show-buffer)
[ "$copied" = "$asking" ] || fail "the buffer of tmux holds $copied"
say 'the id is in the buffer of tmux'

keys 2
sees 'the list of runs' 'Runs 3 of 3'
search 'old export'
sees_line 'the run nobody needs is found' '^>.*old export'
keys C-k
sees 'cancelling asks first' 'Cancel this run?'
sees 'and names the run' "${unwanted:0:11}"
keys y
sees_line 'it is cancelled' 'cancel .*old export' 30
test "$(api status "runs/$unwanted")" = cancelled || fail 'the server does not know of the cancelling'
test "$(api status "runs/$counting")" = running || fail 'another run was cancelled too'
say 'and no other'

search 'night watch'
sees_line 'the run that counts is found' '^>.*night watch'
keys Enter
sees 'Enter opens it, says its top line' "$counting night watch"
sees 'it is followed' 'following'
sees_line 'lines come live' 'watch [0-9]+ of'

kill_server
sees 'the server is gone and the console says so' 'DISCONNECTED'
sees 'and of when what it shows is' 'data as of'
before=$(screen | grep -oE 'watch [0-9]+ of' | tail -1)
sleep "$loss_s"
sees 'it stays and counts how long' 'DISCONNECTED'
sees 'with what it had' "$before"
start_server
keys r
sees_no 'the server is back' 'DISCONNECTED' 20
sees 'the console is live' 'live' 20
sees 'the last line arrives by itself' "watch $last of $last." 90

# Read upwards until the last line that was there before the loss: every number stands there, once.
first=$(grep -oE '[0-9]+' <<<"$before" | head -1)
seen=$(screen)
for _ in $(seq 20); do
    grep -qF "watch $first of" <<<"$seen" && break
    keys PageUp
    sleep 0.5
    seen+=$'\n'$(screen)
done
for n in $(seq "$first" "$last"); do
    grep -qF "watch $n of" <<<"$seen" || fail "line $n is missing"
done
say "no line is missing between $first and $last"
! grep -qF 'gap ' <<<"$seen" || fail 'a gap is drawn where there is none'
say 'and no gap is drawn'
leave

#!/usr/bin/env bash
# Shows the tools at work on the sample streams: demo.sh DIRECTORY-OF-THE-TOOLS
# Fails when a pipeline does not end with the status that it should.
set -uo pipefail
PATH=$(cd "$1" && pwd):$PATH
cd "$(dirname "$0")/Corpus/samples" || exit

bold='' dim='' plain=''
if [[ -t 1 && -z ${NO_COLOR-} ]]; then
    bold=$'\e[1m' dim=$'\e[2m' plain=$'\e[0m'
fi
output=$(mktemp) complaints=$(mktemp)
trap 'rm -f "$output" "$complaints"' EXIT

# show STATUS TEXT COMMAND: the status is that of the last tool that failed.
show() {
    local expected=$1 text=$2 command=$3 status lines=6 more
    printf '\n%s%s%s\n%s$ %s%s\n' "$bold" "$text" "$plain" "$dim" "$command" "$plain"
    bash -o pipefail -c "$command" >"$output" 2>"$complaints"
    status=$?
    cut -c 1-150 "$output" | head -n "$lines"
    more=$(($(wc -l <"$output") - lines))
    if ((more > 0)); then echo "… and $more lines more"; fi
    cut -c 1-150 "$complaints"
    if ((status != 0)); then echo "${dim}(exit status $status)$plain"; fi
    if ((status != expected)); then
        echo "demo: expected exit status $expected" >&2
        exit 1
    fi
}

show 0 'The tokens of an LLM stream, as text that flows.' \
    "sse-decode -t --get .choices[0].delta.content --until '[DONE]' openai.sse"
show 0 'The same for a stream of another make: only some of its events have text.' \
    "sse-decode -t --get .delta.text --until-event message_stop anthropic.sse"
show 0 'Each event as a record, one JSON object a line.' \
    "sse-decode anthropic.sse"
show 0 'Records back to a stream.' \
    "sse-decode anthropic.sse | sse-encode"
show 0 'Nothing was lost on the way there and back.' \
    "sse-decode openai.sse | sse-encode | cmp - openai.sse && echo same"
show 0 'The log of an agent as a stream whose events have the type of each step.' \
    "sse-encode -d --event-from .type --id-from .step --done agent.jsonl"
show 0 'Prices that came twice are dropped, those that came late are put in their place.' \
    "sse-decode -d --event price --dedup --reorder .seq prices.sse | cut -c 1-60"
show 0 'Long data in pieces that fit through a narrow channel, and whole again.' \
    "sse-encode -d --chunk 64 agent.jsonl | sse-decode -d --join-chunks | cmp - agent.jsonl &&
    echo same"
show 0 'Three lines of a log; the seed makes them the same ones each time.' \
    "stream-sample -n 3 --seed 7 access.jsonl"
show 0 'A quarter of the clients with all that they did, by a hash of the address.' \
    "stream-sample -p 25% --key .remote access.jsonl | jq -r .remote | sort | uniq -c"
show 0 'One line of each kind, and every answer besides.' \
    "stream-sample -n 1 --by .type --seed 1 --keep .type=answer agent.jsonl"
show 0 'The newest price of each symbol.' \
    "sse-decode -d -e price prices.sse | stream-sample --latest .symbol"
show 0 'A long series as a chart of eight points.' \
    "stream-sample --lttb 8 -x .t -y .cpu metrics.jsonl | jq -r .cpu | paste -sd ' '"
show 0 'The steps of an agent, an array for each call of a tool.' \
    "stream-batch --when .type=tool_result agent.jsonl | jq -c 'map(.type)'"
show 0 'A table of all keys: counts, sums, percentiles.' \
    "stream-batch -k .method -a count -a 'sum(.bytes)' -a 'p95(.duration)' access.jsonl"
show 0 'Windows of five minutes by the time in the lines.' \
    "stream-batch --time .t -t 5m -a 'mean(.cpu)' -a 'max(.cpu)' metrics.jsonl"
show 0 'A command for each batch, four at once, the output in order.' \
    "stream-batch -n 15 -j 4 --keep-order access.jsonl -- jq -c 'map(.bytes) | add'"
show 1 'A record that the command cannot take is found by halves, and put aside.' \
    "printf '%s\n' 1 2 '\"x\"' 4 | stream-batch -q --bisect --permanent 5 \\
    --dead-letter /dev/stdout -- jq -c 'map(. / 2)' 2>/dev/null | jq -c '.items? // .'"
show 0 'A WebSocket server, and a request with its reply.' \
    "ws-cat --listen 0 --port-file /dev/stdout --echo --no-close </dev/null |
  { read -r port; echo '{\"op\":\"ping\"}' | ws-cat -1 ws://localhost:\$port; }"
show 0 'A stream on the web, and the newest two events of one of its channels.' \
    "sh -c 'echo \$\$; exec stream-serve --channel-from .type -l 0 --port-file /dev/stdout \\
    --eof stay agent.jsonl' |
  { read -r pid; read -r port
    curl -s \"http://localhost:\$port/last?channel=tool_call&n=2\"; kill \$pid; } |
  jq -c 'map([.data.step, .data.name])'"
show 0 'Compressed on the way: gzip input is recognised by itself.' \
    "sse-encode -d -z metrics.jsonl | sse-decode -d | cmp - metrics.jsonl && echo same"
show 0 'What an HTTP server would answer, behind a socket that systemd accepts.' \
    "sse-encode --http --retry 3000 records.jsonl"
show 76 'A stream that was cut off does not pass for one that ended.' \
    "sse-decode -t --get .choices[0].delta.content --until '[DONE]' --require-end cut-off.sse"
show 76 'An error in mid-stream is one for the shell too.' \
    "sse-decode -d --fail-on-error mid-error.sse | tail -n 1"
show 65 'An error page is no stream without events.' \
    "sse-decode page.html"
show 65 'Nor is the JSON of an error.' \
    "sse-decode error.json"
show 65 'A sample of what came before the bad line.' \
    "printf '%s\n' '{\"k\":1}' '{\"k\":2}' '{\"k\":}' | stream-sample -n 2 --by .k"
show 65 'A line that is no JSON is named with its line and byte.' \
    "printf '%s\n' '{\"a\":1}' '{\"a\" 2}' | sse-encode -d"

printf '\nAll %sas expected%s.\n' "$bold" "$plain"

import StreamTool

let manual = Manual(
    description: #"""
        .Nm
        puts a stream on the web.
        It reads lines from standard input, or from files one after the other, and gives each of
        them at once to every client that is connected, in order, and each once: as Server-Sent
        Events, over WebSocket, as JSON Lines or by long polling, all from one port.
        It keeps the newest events, so that a client that comes back gets what it missed; and when
        a client does not get something, it is told so.
        With
        .Fl Fl publish
        clients send lines, too, which go to standard output.
        Input that is gzip is inflated.
        """# + "\n" + lines + channels + ids,
    more: httpManual + servingManual + operatingManual,
    statuses: [
        0: "Done: the input ended, or a signal asked to stop, and all workers have ended; also"
            + " when --drain was over before every client had everything.",
        1: "Done, but some line was rejected, and is no event.",
        64: "The command line cannot be understood, options do not go together, or there is no"
            + " socket from systemd for --listen=fd:.",
        65: "Bad input; what came before it still goes to the clients, and they are not"
            + " told that the stream has ended.",
        69: "A port or a path cannot be listened at: it is in use, or not allowed.",
        74: "Reading or writing failed, standard output included: what clients published may be"
            + " lost.",
    ],
    examples: examples,
    seeAlso: [
        "curl(1)", "jq(1)", "sse-decode(1)", "sse-encode(1)", "stream-batch(1)",
        "stream-sample(1)", "ws-cat(1)", "systemd.socket(5)", "streamutils(7)",
    ])

private let lines = #"""
    .Ss Lines
    .Bl -tag -width Ds -compact
    .It Fl d
    Any JSON value: the data of an event.
    .It Fl r
    An event record, such as
    .Xr sse-decode 1
    writes and
    .Xr sse-encode 1
    reads:
    .Bd -literal
    {"event":"price","id":"42","data":{"v":1},"retry":5000,"comment":"c","channel":"a.b"}
    .Ed
    .It Fl t
    Any UTF-8 text: the data, which is a JSON string in records.
    .El
    .Pp
    Blank lines are skipped, but for
    .Fl Fl text :
    there an empty line is an event with empty data.
    What
    .Fl Fl event-from ,
    .Fl Fl id-from
    and
    .Fl Fl channel-from
    find in the data counts for more than the members of a record, and those for more than
    .Fl Fl event
    and
    .Fl Fl channel .

    """#

private let channels = #"""
    .Ss Channels
    An event may have a channel: a name of levels with dots between them, such as
    .Li sensors.kitchen.temperature ,
    at most 255 bytes.
    Clients choose channels by patterns, in which
    .Li *
    stands for one level, and
    .Li **
    for any number of them, none included:
    .Li sensors.*.temperature
    or
    .Li sensors.** .
    A client that names no channel gets every event, those without a channel included.
    One that names channels does not get the latter, unless a pattern is
    .Li ** .

    """#

private let ids = #"""
    .Ss Ids
    Each event has an id.
    It is
    .Ar EPOCH Ns - Ns Ar NUMBER
    unless the event brings its own: the time of the start in milliseconds, in base 36, and a number
    from 1 on that counts the events of all channels, so that it grows by one from event to event.
    Ids of its own
    .Pq Fl Fl id-from , No or the record
    are still known after a restart when the input brings the same events again.
    """#

private let examples: [Example] = [
    Example(
        "Three events over Server-Sent Events, up to the end.",
        #"{ seq 3; sleep 0.5; } | stream-serve -l 0 --port-file /dev/stdout | { read -r port; "#
            + #"sse-decode -d --until-event end "http://localhost:$port/events?since=earliest"; }"#,
        output: "1\n2\n3\n"),
    Example(
        "A channel for each type of event; one of them over WebSocket, the data alone.",
        #"{ cat agent.jsonl; sleep 0.5; } | stream-serve --channel-from .type -l 0 "#
            + #"--port-file /dev/stdout | { read -r port; ws-cat -n 2 --no-close "#
            + #""ws://localhost:$port/ws?channel=tool_call&since=earliest&raw" </dev/null; } "#
            + #"| jq -c '[.step, .name]'"#,
        output: "[2,\"timetable\"]\n[5,\"weather\"]\n"),
    Example(
        "The newest events that were text, as JSON.",
        #"{ printf '%s\n' one two three; sleep 0.5; } | stream-serve -t -l 0 "#
            + #"--port-file /dev/stdout | { read -r port; "#
            + #"curl -s "http://localhost:$port/last?n=2" | jq -c 'map(.data)'; }"#,
        output: "[\"two\",\"three\"]\n"),
    Example(
        "What a client publishes comes out at standard output.",
        #"sleep 0.5 | stream-serve --publish -l 0 --port-file /dev/stdout | { read -r port; "#
            + #"curl -s -o /dev/null -d '{"text":"hello"}' "#
            + #""http://localhost:$port/publish?channel=chat"; jq -c '[.channel, .data]'; }"#,
        output: "[\"chat\",{\"text\":\"hello\"}]\n"),
]

import StreamTool

let manual = Manual(
    description: #"""
        .Nm
        reads JSON Lines from the files, or from standard input, and writes them to standard output
        as Server-Sent Events, the text/event-stream format of the WHATWG HTML standard,
        section 9.2.
        Several files are read one after the other;
        .Sq -
        is standard input.
        Input that is gzip is inflated.
        .Pp
        With
        .Fl Fl records ,
        the default, a line is an object that names the parts of an event:
        .Bd -literal -offset indent
        {"event":"price","id":"42","data":{"ACME":101.45},"retry":3000,"comment":"…"}
        .Ed
        .Pp
        All members may be left out.
        .Va data
        that is a string is the text itself, any other value is sent as its JSON text, byte for
        byte.
        .Va id
        may be a number.
        .Va event
        .Dq message
        needs no line and gets none.
        .Va channel
        is accepted and not sent.
        An unknown or repeated member is an error, and so is a line break in
        .Va event
        or
        .Va id ,
        which would let a value pass for fields of its own.
        .Pp
        With
        .Fl Fl data
        a line is any JSON value and is the payload itself; with
        .Fl Fl text
        it is plain text.
        .Pp
        What was read is written before
        .Nm
        waits for more, so a trickle goes out line by line and a burst in large pieces.
        """#,
    more: #"""
        .Sh SERVING A STREAM
        With
        .Fl Fl http
        .Nm
        serves one connection behind a systemd socket with
        .Li Accept=yes :
        .Bd -literal -offset indent
        # ticker.socket
        [Socket]
        ListenStream=8080
        Accept=yes
        # ticker@.service
        [Service]
        ExecStart=/bin/sh -c 'tail -n 0 -F /var/log/ticker.jsonl | \e
            sse-encode -d --http --heartbeat 15s'
        StandardInput=socket
        StandardOutput=socket
        .Ed
        .Pp
        The response head forbids proxies to cache, transform or hold back the stream.
        It does not depend on the request, which is not read until the end.
        Pages of other origins may read it when
        .Fl Fl origin
        names theirs; the browser asks no further, for the request of an EventSource is a simple
        one.
        .Pp
        A page does not see comments.
        With
        .Fl Fl heartbeat-event
        it can tell a quiet stream from a dead one:
        .Bd -literal -offset indent
        sse-encode -d --http --origin https://app.example.com --heartbeat 15s \e
            --heartbeat-event alive --done-event 'done={}'
        .Ed
        .Sh CHUNKS
        With
        .Fl Fl chunk
        an event whose data is longer than
        .Ar SIZE
        becomes several, each with this data:
        .Bd -literal -offset indent
        {"type":"chunk","id":"7","seq":0,"total":3,"data":"…"}
        .Ed
        .Pp
        .Va id
        is the event's id or a number that is new for each message.
        All of them carry the event's type, and only the last its id line, so that a client that
        resumes after some of them gets the whole message again.
        .Xr sse-decode 1
        puts them together with
        .Fl Fl join-chunks .
        """#,
    examples: [
        Example(
            "Records to events.",
            #"printf '{"event":"price","id":"42","data":{"ACME":1.50}}\n' | sse-encode"#,
            output: "event: price\nid: 42\ndata: {\"ACME\":1.50}\n\n"),
        Example(
            "Steps of an agent, each named by its type.",
            "sed -n 6p agent.jsonl | sse-encode -d --event-from .type --id-from .step"
                + " --data-from .content",
            output: "event: tool_result\nid: 6\ndata: upstream timed out after 5 s\n\n"),
        Example(
            "Plain text, numbered, with an end marker.",
            #"printf 'one\ntwo\n' | sse-encode -t --id-seq --done='[DONE]'"#,
            output: "id: 1\ndata: one\n\nid: 2\ndata: two\n\ndata: [DONE]\n\n"),
        Example(
            "Bad lines are kept for later, the rest is sent.",
            #"printf '1\n[\n' | sse-encode -dq --rejects /dev/stderr 2>&1 >/dev/null"#,
            output: #"{"input":"-","line":2,"#
                + #""error":"byte 2: expected more, the JSON text ends here","raw":"["}"# + "\n"),
    ],
    seeAlso: ["curl(1)", "jq(1)", "sse-decode(1)", "streamutils(7)"])

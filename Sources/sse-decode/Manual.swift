import StreamTool

let manual = Manual(
    description: #"""
        .Nm
        reads Server-Sent Events, the text/event-stream format of the WHATWG HTML standard,
        section 9.2, from files, from standard input or from URLs, and writes a line of JSON for
        each event to standard output.
        Several files are read one after the other, each as a stream of its own, but
        .Fl Fl dedup ,
        .Fl Fl reorder
        and
        .Fl Fl join-chunks
        go on from one to the next;
        .Sq -
        is standard input.
        Input that is gzip is inflated.
        .Pp
        An operand that begins with
        .Li http://
        or
        .Li https://
        is a stream that is asked for, and asked for again where it stopped, whenever it ends or
        stalls (see
        .Sx RESUMING ) .
        Several URLs are read at the same time, and files beside them; then these three options
        stay within each URL, and
        .Fl Fl tag-source
        says where a line came from.
        .Pp
        With
        .Fl Fl records ,
        the default, a line is an object:
        .Bd -literal -offset indent
        {"event":"price","id":"42","data":"…"}
        .Ed
        .Pp
        .Va event
        is
        .Dq message
        when the stream named none.
        .Va id
        is there when the stream gave one since the event before.
        .Va data
        is a string; with
        .Fl Fl json ,
        data that is JSON is embedded as JSON instead.
        .Fl Fl data
        writes the data alone, as JSON, and
        .Fl Fl text
        as plain text.
        .Pp
        What was read is written before
        .Nm
        waits for more, so that each event goes out as soon as its blank line came in.
        Invalid UTF-8 becomes U+FFFD, as the standard says.
        Input that is no event stream at all, such as an HTML page or a JSON error body, is an
        error.
        .Pp
        Values of JSON are read, too:
        .Fl Fl input
        names their layout, and a URL's answer says it by its Content-Type.
        Each value is the data of an event of type
        .Dq message ;
        with
        .Fl Fl data
        that is a line for each, however it was laid out.
        A URL's answer of any other type is an error.
        """#,
    more: ends + followManual,
    statuses: [
        0: "Done: the input ended, the end that --until or --until-event names or --count was"
            + " reached, or --max-time; with URLs also status 204, or a signal that asked to stop.",
        69: "A URL could not be had, or was lost, and is not tried again: it answered with a status"
            + " such as 404, --retries were used up, or --reconnect=never; or no answer came before"
            + " --max-time was over.",
        71: "The operating system refused something; or a URL was given, and libcurl or the program"
            + " sse-decode-url, which reads URLs, is not installed.",
        76: "The stream was cut off, or it reported an error; or a URL was answered with something"
            + " else than a stream, with a JSON error, or with redirects that lead nowhere.",
        77: "Permission denied: status 401, 403 or 407, or a certificate that cannot be verified.",
        78: "What an option names cannot be used: a certificate, a key, a proxy, a file of --state"
            + " that is none or of another output, or an output that is not what --state knows, or"
            + " behind which nobody could read what is appended.",
        73: "A file cannot be written, or another process has it: that of --output, or the line in"
            + " --state.",
    ],
    examples: [
        Example(
            "Events to records.",
            #"printf 'event: price\nid: 42\ndata: {"ACME":1.50}\n\n' | sse-decode"#,
            output: #"{"event":"price","id":"42","data":"{\"ACME\":1.50}"}"# + "\n"),
        Example(
            "The answer of a language model as flowing text, and a failure when it was cut off.",
            "sse-decode -t --get .choices[0].delta.content --until '[DONE]' --require-end"
                + " openai.sse | head -n 1 | cut -c 1-64",
            output: "The lighthouse keeper on Varn had one rule: never answer the fog\n"),
        Example(
            "The same for another provider.",
            "sse-decode -t --get .delta.text --until-event message_stop anthropic.sse"
                + " | head -n 1 | cut -c 1-13",
            output: "A stream is a\n"),
        Example(
            "Prices, once each and in order.",
            "sse-decode -d -e price --dedup --reorder .seq -n 2 prices.sse",
            output: """
                {"seq":1,"symbol":"ACME","price":101.45,"size":800,"at":"09:30:00.250"}
                {"seq":2,"symbol":"GULL","price":17.25,"size":150,"at":"09:30:00.500"}

                """),
        Example(
            "Data embedded as JSON, as jq likes it.",
            #"printf 'data: {"a":[1,2]}\n\ndata: bye\n\n' | sse-decode -j"#,
            output: """
                {"event":"message","data":{"a":[1,2]}}
                {"event":"message","data":"bye"}

                """),
    ],
    seeAlso: [
        "curl(1)", "jq(1)", "sse-encode(1)", "ws-cat(1)", "systemd.service(5)", "streamutils(7)",
    ])

private let ends = #"""
    .Sh THE END OF A STREAM
    A connection that broke looks like a stream that ended.
    Streams of language models say when they are complete:
    .Bl -tag -width Ds
    .It OpenAI
    .Fl Fl until Li '[DONE]'
    .It Anthropic
    .Fl Fl until-event Li message_stop
    .It OpenAI responses
    .Fl Fl until-event Li response.completed
    .El
    .Pp
    With
    .Fl Fl require-end
    the exit status tells whether that came, and with
    .Fl Fl fail-on-error
    whether an error was sent in the middle of a stream that began well.
    .Sh ORDER
    .Fl Fl reorder
    holds an event back while a smaller number may still come, and lets it go when the number
    comes, when
    .Fl Fl max-wait
    has passed, or when more than
    .Fl Fl window
    events wait.
    The first event is waited for in the same way unless its number is 0 or 1.
    A number that did not come is reported and counted; an event that comes later than that, or
    with a number that came before, is counted as late, and written at once unless
    .Fl Fl late Ns = Ns Cm drop
    says otherwise.
    .Pp
    The order of the stages is: end marker, error, selection by type, duplicates, chunks,
    order,
    .Fl Fl get .

    """#

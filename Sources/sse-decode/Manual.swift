import StreamTool

let manual = Manual(
    description: #"""
        .Nm
        reads Server-Sent Events, the text/event-stream format of the WHATWG HTML standard,
        section 9.2, from the files or from standard input, and writes a line of JSON for each event
        to standard output.
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
        """#,
    more: #"""
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
        A number that did not come is reported and counted; an event that comes later than that is
        written at once and counted as late.
        .Pp
        The order of the stages is: end marker, error, selection by type, duplicates, chunks,
        order,
        .Fl Fl get .
        """#,
    statuses: [76: "The stream was cut off, or it reported an error."],
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
    seeAlso: ["curl(1)", "jq(1)", "sse-encode(1)", "streamutils(7)"])

import StreamTool

let manual = Manual(
    description: #"""
        .Nm
        reads lines from the files, or from standard input, and puts them together into batches: it
        writes each as a JSON array, writes what aggregates make of it, or gives it to a command,
        again and again until the command has taken it.
        Several files are read one after the other as one stream;
        .Sq -
        is standard input.
        Input that is gzip is inflated.
        .Pp
        Each line is a JSON value.
        It is checked, for an invalid one would spoil its batch, and stands in the batch as it came.
        .Ar PATH
        is a place in the line's value, such as
        .Li .user.id
        (see
        .Xr streamutils 7 ) ;
        where several may be given with commas between them, the values together count.
        A value that is not there is
        .Li null .
        Equal strings are equal however they are escaped; numbers are equal when they are written
        alike.
        .Pp
        Without an option that closes batches, all lines are one batch, as far as
        .Fl Fl max-memory
        allows.
        The end of the input, SIGTERM, SIGINT and SIGHUP close what is open.
        """#,
    more: closing + aggregates + delivering + deadLetters + journaling,
    statuses: [
        1: "Done, but some input was rejected, came too late, or is a dead letter.",
        69: "Batches could not be delivered, or there is no such command.",
    ],
    examples: examples,
    seeAlso: [
        "curl(1)", "jq(1)", "parallel(1)", "sse-decode(1)", "stream-sample(1)", "streamutils(7)",
    ])

private let closing = #"""
    .Sh WINDOWS OF TIME
    Without
    .Fl Fl time
    the clock counts.
    The time of
    .Fl t
    begins with the first line of a batch, and a batch is closed when it is over, whether a line
    comes or not.
    While all commands are busy and no input is read, it is closed when one of them has ended.
    .Pp
    With
    .Fl Fl time
    the lines say what time it is, so that a recorded stream gives the same batches as it would have
    live, however fast it comes: all durations that are about lines go by it, those of
    .Fl Fl dedup-for
    and
    .Fl Fl max-wait ,
    too, and the clock closes nothing but by
    .Fl Fl idle-close .
    Windows begin at multiples of
    .Fl t
    (or of
    .Fl Fl sliding )
    since 1970, moved by
    .Fl Fl offset ,
    and include their beginning, not their end.
    A session goes from its first line to its last, and no two lines of it that follow each other
    are as far apart as
    .Fl i .
    A line between two sessions makes them one, the lines of the later one behind those of the
    earlier one; where the limits of a batch forbid that, the earlier one is closed.
    .Pp
    A time is a number, or a date as RFC 3339 has it and programs write it:
    .Li 2026-01-05T10:00:01.25Z ,
    .Li 2026-01-05 11:00:01,250+0100 ,
    .Li 2026-01-05T11:00+01:00[Europe/Berlin] .
    Without an offset it is one in UTC, or in
    .Fl Fl time-zone ;
    without a time of day it is the start of the day.
    Times go from 1970 to 2262.
    .Pp
    The latest time that was read, less
    .Fl Fl late ,
    is the watermark: windows and sessions that have ended by then are closed, in the order of their
    ends.
    A line that only fits into closed ones is late.
    With
    .Fl Fl key
    each key has windows of its own, and the watermark is that of all keys.
    .Pp
    With
    .Fl Fl watermark-by
    each sender has a clock.
    The watermark is the latest time of the one that is the farthest behind, less
    .Fl Fl late :
    a sender that runs ahead makes nobody late, one that runs behind makes all windows wait.
    One that sends nothing is waited for until time went on by
    .Fl Fl watermark-idle
    for another since its last line, as that other's clock has it; a single step of more than half
    of that counts as half of it.
    Its next line makes it one of the senders again.
    Those whose time is too far from that of the others for
    .Fl Fl max-gap
    are not waited for.
    .Pp
    With
    .Fl Fl journal
    no line waits for others that agree with its time: it is rejected at once, until they do.
    .Pp
    An object of
    .Fl Fl format Ns = Ns Cm object
    is reckoned with numbers of 19 digits, so that
    .Fl b
    leaves up to 38 bytes unused.
    .Va from
    and
    .Va to
    are the beginning and the end of the window, of a session the times of its first and its last
    line, and else when the first and the last line came, as in RFC 3339 with milliseconds.

    """#

private let aggregates = #"""
    .Sh AGGREGATES
    Each
    .Fl a
    adds a member, in their order, behind
    .Va key
    with
    .Fl Fl key ,
    .Va from
    and
    .Va to
    with windows, and with
    .Fl Fl format Ns = Ns Cm object
    also
    .Va seq .
    Its name is
    .Ar NAME ,
    or the function and the keys of the path with
    .Sq _
    between them.
    .Pp
    A number is a JSON number or a string that holds one.
    Lines without the value, or with
    .Li null ,
    are passed over; other values that are no numbers are passed over, counted and reported.
    Without any number the result is
    .Li null .
    In a path, keys with a comma or a parenthesis need quotes.
    .Bl -tag -width Ds
    .It count , count(PATH)
    The lines; those with a value there.
    .It rate
    Lines a second: of the window or session, else from the first line until the batch is closed.
    .It sum(PATH) , mean(PATH)
    Exact, with all digits, for numbers of up to 18 decimals and sums of up to 38 digits; beyond
    that by compensated summation (Neumaier 1974).
    .It min(PATH) , max(PATH)
    As it stands in the line.
    .It stddev(PATH)
    The standard deviation of a sample, with n-1 (Welford 1962).
    .It median(PATH) , p50(PATH) ... p99.9(PATH)
    The number of rank q(n-1), rounded down, with a relative error of at most
    .Fl Fl quantile-error ,
    by DDSketch (Masson, Rim and Lee 2019), for numbers above 5e-18 of the largest one.
    p0 and p100 are min and max.
    .It distinct(PATH)
    How many different values, as they are written: exact up to 1024, above that by HyperLogLog
    (Flajolet and others 2007) with 2^14 registers, a standard error of 0.81 %.
    .It first(PATH) , last(PATH)
    The value of the first and of the last line that has one.
    .It top(PATH) , top(PATH,N)
    The N most frequent values, 10 unless given, as
    .Li {"value":V,"count":C,"error":E} ,
    by Space-Saving (Metwally, Agrawal and El Abbadi 2005) with 10 N counters, at least 1000: up to
    so many different values exact; beyond that the true count is from C-E to C.
    error is left out where it is 0.
    Of a value of more than 512 bytes the beginning of its JSON text stands there, as a string, and
    .Va bytes
    says how long it is.
    .It histogram(PATH) , histogram(PATH,BOUND,...)
    How many numbers are not above each bound and above the one before, as
    .Li {"le":BOUND,"count":C} ;
    the last bound is
    .Li null ,
    none.
    Bounds are 1, 2 and 5 times powers of ten unless given.
    .El
    .Pp
    .Fl b
    counts the bytes of the lines all the same, and
    .Fl Fl max-memory
    does not count what aggregates hold.
    A batch takes about 300 bytes, first and last their value, quantiles 2 bytes for each 2 %
    between the smallest and the largest number, distinct up to 16 kB, top about 110 bytes and the
    value for each counter.

    """#

private let examples = [
    Example(
        "A log in arrays of 25 lines, for a bulk endpoint.",
        "stream-batch -n 25 access.jsonl | jq -c 'map(.status) | [length, .[0]]'",
        output: "[25,304]\n[25,200]\n[10,404]\n"),
    Example(
        "No array larger than 4 kB.",
        "stream-batch -b 4K access.jsonl | awk '{ print length($0) + 1 }'",
        output: "3866\n4039\n3831\n4011\n569\n"),
    Example(
        "The steps of an agent up to each result of a tool.",
        "stream-batch --when .type=tool_result agent.jsonl | jq -c 'map(.type)'",
        output: """
            ["thought","tool_call","tool_result"]
            ["thought","tool_call","tool_result"]
            ["thought","tool_call","tool_result"]
            ["thought","answer"]

            """),
    Example(
        "A table of all keys, as SQL has it: GROUP BY.",
        "stream-batch -k .method -a count -a 'sum(.bytes)' -a 'p95(.duration)' access.jsonl",
        output: """
            {"key":"GET","count":47,"sum_bytes":967511,"p95_duration":0.0942655543692778}
            {"key":"DELETE","count":8,"sum_bytes":84315,"p95_duration":0.018961696643169122}
            {"key":"POST","count":5,"sum_bytes":126856,"p95_duration":0.06104855175382532}

            """),
    Example(
        "Windows of five minutes by the time in the lines.",
        "stream-batch --time .t -t 5m -a 'mean(.cpu)' -a 'max(.cpu)' metrics.jsonl"
            + " | jq -c '[.from[11:16], .mean_cpu, .max_cpu]'",
        output: """
            ["10:00",0.4705666666666667,0.57]
            ["10:05",0.22973333333333334,0.425]
            ["10:10",0.4705,0.98]
            ["10:15",0.2554666666666667,0.481]

            """),
    Example(
        "Windows over hosts, each with its own clock; of a live stream also when it is silent.",
        "stream-batch --time .t -t 10m --watermark-by .host --idle-close 30s -a count metrics.jsonl"
            + " | jq -c '[.from[11:16], .count]'",
        output: "[\"10:00\",60]\n[\"10:10\",60]\n"),
    Example(
        "Each batch to a command, two at a time, tried again when that fails.",
        "stream-batch -n 20 -j 2 --keep-order --retries 3 --backoff 10ms..1s access.jsonl --"
            + " jq -c 'map(.bytes) | add'",
        output: "454840\n415976\n307866\n"),
    Example(
        "A bad record is found by halves and put aside; the rest is delivered.",
        "printf '%s\\n' 1 2 '\"x\"' 4 | stream-batch -q --bisect --permanent 5"
            + " --dead-letter /dev/stdout -- jq -c 'map(. / 2)' 2>/dev/null | jq -c '.items? // .'",
        output: """
            [0.5,1]
            ["x"]
            [2]

            """),
]

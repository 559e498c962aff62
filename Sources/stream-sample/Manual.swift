import StreamTool

let manual = Manual(
    description: #"""
        .Nm
        reads lines from the files, or from standard input, and writes some of them to standard
        output.
        Several files are read one after the other as one stream;
        .Sq -
        is standard input.
        Input that is gzip is inflated.
        .Pp
        Lines are JSON values, but nothing is read from them unless an option names a path, so any
        text will do; what is written is as it came.
        .Ar PATH
        is a place in the line's value, such as
        .Li .user.id
        (see
        .Xr streamutils 7 ) ;
        where several may be given with commas between them, the values together are the key.
        A line without the value has the key
        .Li null .
        Equal strings are equal however they are escaped; numbers are equal when they are written
        alike.
        .Ss Which method
        .Bl -column "the newest value of each key" "--latest, --every" -compact
        .It Sy To have Ta Sy use
        .It a share of the lines Ta Fl p
        .It a share of the users, whole Ta Fl p , Fl Fl key
        .It so many lines of all Ta Fl n
        .It so many lines of each kind Ta Fl n , Fl Fl by
        .It so many, large ones rather Ta Fl n , Fl Fl weight
        .It some lines each minute Ta Fl n , Fl Fl every
        .It every tenth line Ta Fl Fl nth
        .It never more than a rate Ta Fl Fl rate
        .It the same without a loss Ta Fl Fl rate , Fl Fl pace
        .It a steady rate, unbiased Ta Fl Fl adapt
        .It the newest value of each key Ta Fl Fl latest , Fl Fl every
        .It one alert of each kind Ta Fl Fl first , Fl Fl every
        .It no repetitions Ta Fl Fl distinct
        .It only what changed Ta Fl Fl change
        .It a chart that looks the same Ta Fl Fl lttb , Fl Fl m4
        .It the range of a chart Ta Fl Fl minmax
        .El
        .Pp
        .Fl Fl nth
        takes the same place of each cycle of a stream that repeats itself; where that may be,
        .Fl p
        is the better choice.
        """#,
    more: #"""
        .Sh WHEN LINES ARE WRITTEN
        .Fl p , Fl Fl nth , Fl Fl rate , Fl Fl adapt , Fl Fl first , Fl Fl distinct
        and
        .Fl Fl change
        decide on a line when it comes, and write it before they wait for the next one.
        So do all methods with the lines of
        .Fl Fl keep .
        .Fl n , Fl Fl latest , Fl Fl lttb , Fl Fl minmax
        and
        .Fl Fl m4
        hold lines until the interval of
        .Fl Fl every
        or the input ends, and write them in the order in which they came.
        SIGUSR1 makes them write what they would write if the input ended then, besides the
        counters, which count these lines again when they are written at the end; SIGTERM, SIGINT,
        SIGHUP and bad input make them write it and end.
        .Pp
        An interval ends by the clock, also when no line comes.
        With
        .Fl Fl time
        the lines are the clock: an interval ends when a line of a later one comes.
        With
        .Fl Fl rate
        or
        .Fl Fl adapt
        and
        .Fl Fl by
        each key has a clock of its own, so that one that runs ahead holds up no other.
        A time is a number, or a date as RFC 3339 has it and programs write it:
        .Li 2026-01-05T10:00:01.25Z ,
        .Li 2026-01-05 11:00:01,250+0100 ,
        .Li 2026-01-05T11:00+01:00[Europe/Berlin] .
        Without an offset it is one in UTC, or in
        .Fl Fl time-zone .
        .Pp
        With
        .Fl Fl invert ,
        lines that were held and had to give way come when they do, not in their place.
        .Sh ALGORITHMS AND MEMORY
        .Bl -tag -width Ds
        .It Fl n
        Algorithm L (Li 1994): the lines between two that enter the sample are counted, not looked
        at.
        With
        .Fl Fl weight
        A-ExpJ (Efraimidis and Spirakis 2006), with logarithms, so that small weights do not
        underflow.
        Holds COUNT lines of each key.
        .It Fl p
        The gap to the next sampled line is drawn from the geometric distribution (Vitter 1984).
        Holds nothing.
        .It Fl p , Fl Fl key
        A key is sampled when its XXH64 hash with the seed, as a number from 0 to 2^64, is less than
        P times 2^64.
        What is hashed is the JSON text of the value, of a string that has escapes its text in
        quotes; of several values, with a byte 0xFF between them.
        Holds nothing.
        .It Fl Fl rate
        The generic cell rate algorithm (ITU-T I.371): in any time t no more than N times t and
        the burst.
        Holds a time for each key.
        .It Fl Fl adapt
        The probability is the wanted rate over the exponentially smoothed rate of the input, more
        while little came and less after a sudden burst: in any time t no more than N times t and
        the time of
        .Fl Fl smoothing
        are expected, or 10 more than N times t where that is more.
        Holds four numbers for each key.
        .It Fl Fl latest
        Holds a line for each key of the interval.
        .It Fl Fl first , Fl Fl distinct , Fl Fl change
        Hold each key; the last also the values, of more than 1024 bytes a hash.
        .It Fl Fl lttb
        Largest triangle three buckets (Steinarsson 2013).
        Holds all lines of the interval.
        .It Fl Fl m4 , Fl Fl minmax
        M4 (Jugel, Jerzak, Hackenbroich and Markl 2014), and the same without the first and the last
        point of a column.
        Columns are equally wide.
        Holds all lines of the interval.
        .El
        .Pp
        Keys of more than 1024 bytes are remembered by a hash of 128 bits.
        Keys are forgotten, the least recently used first, when there are more than
        .Fl Fl max-keys ,
        and this is counted and reported.
        When more than
        .Fl Fl max-memory
        would have to be held, counted with 80 bytes besides each line,
        .Fl Fl latest
        writes the lines of such keys early; to the others the line that is too much is bad input.
        .Sh SAMPLING RATES
        What
        .Fl Fl annotate
        adds is with
        .Fl p
        and
        .Fl Fl adapt
        the probability at that time, with
        .Fl Fl nth
        1/N, with
        .Fl n
        the share that was sampled, with
        .Fl Fl weight
        the chance of a line of that weight (Cohen and Kaplan 2007), with charts the share of the
        interval's lines, with
        .Fl Fl latest
        1 over the lines of the key in the interval, and with the others 1 over the lines of the key
        since the last one that was written, this one included.
        With
        .Fl n , Fl p , Fl Fl nth
        and
        .Fl Fl adapt
        the sum of 1/NAME over the output estimates how many lines came in (with weights, of those
        with one), and with
        .Fl Fl latest
        it is that number; with the others, lines behind the last one written are not in it.
        A line of
        .Fl Fl keep
        has rate 1.
        """#,
    examples: [
        Example(
            "Three lines of a log, the same ones each time.",
            "stream-sample -n 3 --seed 7 access.jsonl | jq -r .request_id",
            output: "532937e8eed4\n2e46c05f4ab8\n207d04c2d1df\n"),
        Example(
            "About a third of the clients, each with all that it did.",
            "stream-sample -p 0.3 --key .remote access.jsonl | jq -r .remote | sort -u",
            output: "192.0.2.42\n198.51.100.23\n198.51.100.7\n"),
        Example(
            "A line of each kind, and besides them all results.",
            "stream-sample -n 1 --by .type --keep .type=tool_result agent.jsonl"
                + " | jq -r .type | sort | uniq -c",
            output: "      1 answer\n      1 thought\n      1 tool_call\n      3 tool_result\n"),
        Example(
            "A count that is scaled back: about 10000.",
            #"seq 10000 | sed 's/.*/{"n":&}/' | stream-sample -p 1% --seed 2 --annotate rate"#
                + " | jq -s 'map(1 / .rate) | add'",
            output: "10900\n"),
        Example(
            "The newest price of each symbol; of a live stream, once a second with --every 1s.",
            "sse-decode -d -e price prices.sse | stream-sample --latest .symbol"
                + #" | jq -r '"\(.symbol) \(.price)"'"#,
            output: "ACME 101.1\nGULL 17.25\nVARN 48.2\n"),
        Example(
            "At most two lines a minute of each host, as it would have been live.",
            "stream-sample --rate 2/m --by .host --time .t metrics.jsonl | wc -l",
            output: "41\n"),
        Example(
            "The load where it changed by more than 0.3.",
            "stream-sample --change .cpu --deadband 0.3 metrics.jsonl | jq -r .cpu",
            output: "0.335\n0.98\n0.549\n0.235\n"),
        Example(
            "A series as a chart of eight points.",
            "stream-sample --lttb 8 -x .t -y .cpu metrics.jsonl | jq -r .cpu | paste -sd ' '",
            output: "0.335 0.57 0.144 0.16 0.98 0.235 0.139 0.458\n"),
    ],
    seeAlso: ["awk(1)", "jq(1)", "shuf(1)", "sse-decode(1)", "streamutils(7)"])

/// The sections of the manual that are about URLs.
let followManual = resuming + polling + telling + systemd + environment + providers

private let resuming = #"""
    .Sh RESUMING
    A URL is read as the standard has it for browsers, and with what operators need besides.
    The program
    .Pa sse-decode-url
    does this, which
    .Nm
    becomes when an argument begins with http:// or https://; libcurl is loaded then.
    When the connection is lost, when the stream ends, and when nothing came for
    .Fl Fl idle-timeout ,
    the URL is asked for again, with the last event id in the field
    .Li Last-Event-ID ,
    and with
    .Fl Fl id-param
    in the query, too.
    There is none while no id is known, nor once the stream has set it back to nothing.
    An event that was not complete is dropped; the next answer begins anew.
    Comments count as signs of life.
    A server that gives them at regular times, at least 5 seconds apart, shows by that how long
    silence may last.
    What follows a failure goes over a new connection.
    .Pp
    It is over when the marker of
    .Fl Fl until
    or
    .Fl Fl until-event
    comes, and with status 204, by which a server says that nothing will come any more.
    An answer of JSON that ends well is complete.
    Statuses that are not in
    .Fl Fl retry-statuses
    and answers of a wrong type end it with an error.
    .Pp
    A request with a body
    .Pq Fl Fl body ,
    or of another method than GET, is repeated as it was, body and all, but only when its answer
    was cut off: one that ended is complete.
    .Fl Fl reconnect
    says otherwise.
    Servers that give no ids, such as those of language models, would answer again from the
    beginning: once such an event came, a broken answer ends with exit 69, unless
    .Fl Fl reconnect Ns = Ns Cm lost
    asks for it all again.
    .Pp
    Half a message of
    .Fl Fl join-chunks
    is dropped with its connection, and the stream asked for behind the last id before it.
    A control character in an id, which only the answer to a poll or a file can have, is
    percent-encoded in
    .Li Last-Event-ID .
    .Ss How long it waits
    A random time up to the first value of
    .Fl Fl backoff ,
    then up to twice as much each time, up to the second, so that clients that were cut off
    together do not come back together.
    Once the stream has set
    .Li retry ,
    that is the wait before the first attempt, and is added to the random time before later ones.
    It counts as a second at least, unless
    .Fl Fl backoff
    begins with less, and no sum is longer than its second value.
    .Li Retry-After
    is the least, and is believed up to a day.
    A connection that brought an event, or lasted for
    .Fl Fl reset-after ,
    starts this anew, and
    .Fl Fl retries
    with it.
    A GET is tried again for as long as it takes, any other request 10 times.
    Redirects are followed with each attempt from the URL as it was given; another origin gets
    neither credentials, nor fields of
    .Fl Fl header ,
    nor the certificate of
    .Fl Fl cert ,
    and none is followed from TLS to plain text.
    .Ss From one run to the next
    .Fl Fl state
    keeps the last event id, in a line for each request:
    .Bd -literal -offset indent
    {"url":"https://feed.example.com/events","last_event_id":"42"}
    .Ed
    .Pp
    The URL stands there without credentials and without the values of its query; where these, a
    method, a body or the name of a user make it another request, a hash of all of that is in
    .Va request .
    A secret that is in a file may change: it is known by the name of the file.
    Lines of other requests stay, also those of runs that have the same file at the same time; a
    line is for one run, though, and locked by means of
    .Pa FILE.lock
    beside it, which stays.
    The file is written before anything is asked for, so that one that cannot be is told at once.
    An id is kept once all up to its event was written to the output, which is not to say that
    a reader of a pipe has dealt with it.
    The file is replaced as a whole, and on the disk before it has its name: at most every
    .Fl Fl state-interval ,
    and at the end.
    It counts for more than
    .Fl Fl last-event-id ,
    which then says where the very first run begins.
    A run that is stopped by SIGTERM, SIGINT or SIGHUP leaves neither gap nor duplicate, unless its
    output is not taken within 5 seconds.
    One that is killed, or loses its power, may have written events that the next run writes again:
    those of the last
    .Fl Fl state-interval .
    .Pp
    .Fl Fl exactly-once
    also keeps how long the file of
    .Fl Fl output
    was behind the event with that id, and has that much of it on the disk before:
    .Bd -literal -offset indent
    {"url":"...","last_event_id":"42","output":"/var/lib/feed/feed.jsonl"}
    {"output":"/var/lib/feed/feed.jsonl","length":588895,"end":588895,"head":"...","tail":"..."}
    .Ed
    .Pp
    The next run of a killed one cuts off what stands behind that length, and asks for it again.
    It refuses with exit status 78, and touches nothing, when the ids belong to another output,
    when the file has other bytes before that length
    .Po Va head
    and
    .Va tail
    are XXH64 of the first 4 KiB and the last 64 KiB of them
    .Pc ,
    or when something was appended behind a run that ended in order, at
    .Va end .
    So a kill at any moment leaves neither a gap nor a duplicate in the file; the events of the
    last
    .Fl Fl state-interval
    may vanish from it until they come again, and who reads the file meanwhile may see them twice.
    With several URLs, this is kept whenever all of them are behind an event with an id, or never
    had one.
    Runs of other URLs may use both files in turn.
    The file is for one run at a time, which locks it; runs without
    .Fl Fl exactly-once
    are refused meanwhile, too.
    It must not become shorter between runs, nor be rotated unless the state is put away with it.
    .Pp
    None of this makes up for what the server does not do.
    Events that it no longer has when it is asked are a gap.
    Those behind the last id without one of their own come again after each reconnect, and cannot
    be told from new ones: what they wrote is cut off after a kill, and stays after a run that ended
    in order.
    Of a stream without any ids nothing is cut off.
    .Pp
    What
    .Fl Fl reorder
    holds back when a signal or
    .Fl Fl max-time
    ends the run is not written: it comes again, in its order, for the id that is kept is the one
    before it.
    What has an id that came before,
    .Fl Fl dedup
    drops, the event with the last id of the run before included.

    """#

private let telling = #"""
    .Sh MESSAGES
    What is tried again is a warning, what is given up an error, and with
    .Fl Fl verbose
    each step is told:
    .Bd -literal
    sse-decode: https://feed.example.com/events: the stream ended; retrying in 0.7 s
    .Ed
    .Pp
    With
    .Fl Fl all ,
    the same is written as records between those of the events:
    .Bd -literal
    {"connection":"connecting","source":"...","time":"..."}
    {"connection":"open","source":"...","time":"...","status":200,"type":"text/event-stream"}
    {"connection":"resumed","source":"...","time":"...","last_event_id":"42"}
    {"connection":"stalled","source":"...","time":"..."}
    {"connection":"retrying","source":"...","time":"...","wait_ms":704,"reason":"..."}
    {"connection":"given-up","source":"...","time":"...","reason":"..."}
    {"connection":"closed","source":"...","time":"...","status":204}
    .Ed
    .Pp
    .Li resumed
    follows the
    .Li open
    of a reconnect when an id was sent with it, and
    .Li closed
    says that the stream is over for good;
    .Va status
    is there when that is why.

    """#

private let systemd = #"""
    .Sh SYSTEMD
    With
    .Fl Fl notify ,
    a service of
    .Li Type=notify
    is ready when the first stream is open, and its watchdog is told that all is well as long as
    the loop turns, however the peer behaves.
    .Bd -literal -offset indent
    [Unit]
    Wants=network-online.target
    After=network-online.target
    StartLimitIntervalSec=0

    [Service]
    Type=notify
    ExecStart=/usr/local/bin/sse-decode -d --notify --dedup \e
        --exactly-once --state %S/feed/state --output %S/feed/feed.jsonl \e
        --bearer-file ${CREDENTIALS_DIRECTORY}/token \e
        https://feed.example.com/events
    LoadCredential=token:/etc/feed.token
    StateDirectory=feed
    DynamicUser=yes
    TimeoutStartSec=infinity
    WatchdogSec=30s
    Restart=on-failure
    RestartSec=30s
    RestartPreventExitStatus=64

    [Install]
    WantedBy=multi-user.target
    .Ed
    .Pp
    .Li StateDirectory
    is what makes the next start go on where this one stopped.
    .Li TimeoutStartSec
    lets it wait for a server that is down.
    .Li Restart=on-failure
    leaves it alone after exit status 0, with which the server said that the stream is over.
    The others may pass: a server that was away for longer than
    .Fl Fl retries
    (69), an address or a page that was wrong while something was deployed (69, 76), a stream that
    was cut off or reported an error (76), credentials and certificates that are being renewed (77,
    78), a full disk (73, 74).
    .Li RestartPreventExitStatus
    names the one that takes a person: a wrong command line.
    While it runs, a file of a secret, a certificate or a key that is missing or not whole is read
    again until it is.

    """#

private let environment = #"""
    .Sh ENVIRONMENT
    .Bl -tag -width Ds -compact
    .It Ev http_proxy , https_proxy , all_proxy , no_proxy
    Proxies, and where none is used, as
    .Xr curl 1
    has them.
    .It Ev SSL_CERT_FILE , SSL_CERT_DIR
    The authorities that are trusted instead of the system's.
    .It Ev STREAMUTILS_PASSWORD
    The password of
    .Fl Fl user .
    .It Ev NETRC , HOME
    Where
    .Fl Fl netrc
    looks.
    .It Ev NOTIFY_SOCKET , WATCHDOG_USEC
    Where and how often
    .Fl Fl notify
    tells systemd.
    .It Ev NO_COLOR
    No colour in diagnostics on a terminal.
    .El

    """#

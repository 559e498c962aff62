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
    .Pp
    It is over when the marker of
    .Fl Fl until
    or
    .Fl Fl until-event
    comes, and with status 204, by which a server says that nothing will come any more.
    An answer of JSON that ends well is complete.
    Statuses that are not in
    .Fl Fl retry-status
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
    .Ss How long it waits
    A random time up to the first value of
    .Fl Fl backoff ,
    then up to twice as much each time, up to the second, so that clients that were cut off
    together do not come back together.
    Once the stream has set
    .Li retry ,
    that is the wait before the first attempt, and is added to the random time before later ones.
    .Li Retry-After
    is the least, and both are believed up to a day.
    A connection that brought an event, or lasted for
    .Fl Fl reset-after ,
    starts this anew, and
    .Fl Fl retries
    with it.
    Redirects are followed with each attempt from the URL as it was given; another origin gets
    neither credentials nor fields of
    .Fl Fl header ,
    and none is followed from TLS to plain text.
    .Ss From one run to the next
    .Fl Fl state
    keeps the last event id, in a line for each URL:
    .Bd -literal -offset indent
    {"url":"https://feed.example.com/events","last_event_id":"42"}
    .Ed
    .Pp
    The URL stands there without credentials and without the values of its query.
    Lines of other URLs stay.
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
    was behind the event with that id, and has that much of it on the disk before.
    The next run cuts off what stands behind that length, and asks for it again.
    So a kill at any moment leaves neither a gap nor a duplicate in the file; the events of the
    last
    .Fl Fl state-interval
    may vanish from it until they come again, and who reads the file meanwhile may see them twice.
    With several URLs, this is kept whenever all of them are behind an event with an id.
    Runs of other URLs may use both files in turn.
    The file is for one run at a time, which locks it.
    It must not become shorter between runs, nor be rotated unless the state is put away with it.
    .Pp
    None of this makes up for what the server does not do.
    Events that it no longer has when it is asked are a gap.
    Those behind the last id without one of their own come again after each reconnect, and cannot
    be told from new ones.
    What has an id that came before,
    .Fl Fl dedup
    drops, the event with the last id of the run before included.

    """#

private let polling = #"""
    .Sh POLLING
    Some proxies hold a stream back until it ends.
    When two connections in a row bring a head and then nothing for
    .Fl Fl idle-timeout ,
    the URL of
    .Fl Fl poll
    is polled instead, or, when the stream's path ends in
    .Pa /events ,
    .Pa /poll
    beside it.
    After
    .Fl Fl poll-for
    the stream is tried again.
    With
    .Fl Fl poll
    and no stream, that is all that is done.
    .Pp
    A poll is a GET whose parameter
    .Fl Fl poll-param
    .Pq Li since
    is the last event id, once there is one.
    The answer is an array or lines of JSON.
    An element that is an event record, with
    .Va data ,
    is that event; any other is the data of one.
    What stands at
    .Fl Fl poll-cursor
    .Pq Li .id
    is its id, so that stream and polls go on behind each other.
    The next poll follows at once; behind an answer without events, which 204 is too, not before
    the first value of
    .Fl Fl backoff
    has passed since the last.
    A poll that is not answered for
    .Fl Fl idle-timeout
    has stalled, so that this must be longer than the server makes a poll wait.

    """#

private let telling = #"""
    .Sh DIAGNOSTICS
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
    RestartPreventExitStatus=64 76 77 78

    [Install]
    WantedBy=multi-user.target
    .Ed
    .Pp
    .Li StateDirectory
    is what makes the next start go on where this one stopped.
    .Li TimeoutStartSec
    lets it wait for a server that is down.
    .Li Restart=on-failure
    leaves it alone after exit status 0, with which the server said that the stream is over, and
    .Li RestartPreventExitStatus
    after those that another start does not change.

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

private let providers = #"""
    .Sh PROVIDERS
    The key is in a file that only its user can read; where a provider wants it in a field of its
    own, the file has the whole field, such as
    .Li x-api-key:\& Ar KEY .
    .Pa request.json
    is the request as the provider has it, for OpenAI and Anthropic with
    .Li \(dqstream\(dq:true .
    .Pp
    OpenAI, chat completions and responses, and what speaks like them:
    .Bd -literal -offset indent
    $ sse-decode -t --get '.choices[0].delta.content' --until '[DONE]' \e
        --require-end --fail-on-error --bearer-file openai.key \e
        --body @request.json https://api.openai.com/v1/chat/completions
    $ sse-decode -t --get .delta -e response.output_text.delta \e
        --until-event response.completed --require-end --fail-on-error \e
        --bearer-file openai.key --body @request.json \e
        https://api.openai.com/v1/responses
    .Ed
    .Pp
    Anthropic, with
    .Li x-api-key
    in
    .Pa anthropic.header :
    .Bd -literal -offset indent
    $ sse-decode -t --get .delta.text --until-event message_stop \e
        --require-end --fail-on-error -H @anthropic.header \e
        -H 'anthropic-version: 2023-06-01' --body @request.json \e
        https://api.anthropic.com/v1/messages
    .Ed
    .Pp
    Gemini, with
    .Li x-goog-api-key
    in
    .Pa gemini.header ;
    its streams have no end marker.
    Without
    .Li alt=sse
    the answer is an array of JSON, whose elements are taken as they come:
    .Bd -literal -offset indent
    $ m=https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-flash
    $ sse-decode -t --get '.candidates[0].content.parts[0].text' \e
        -H @gemini.header --body @request.json \e
        "$m:streamGenerateContent?alt=sse"
    $ sse-decode -t --get '.candidates[0].content.parts[0].text' \e
        -H @gemini.header --body @request.json "$m:streamGenerateContent"
    .Ed
    .Pp
    Wikimedia EventStreams, which ends each connection after some minutes.
    Its ids are JSON, an array of topics with their partition and offset or time, and are sent
    back as they came:
    .Bd -literal -offset indent
    $ sse-decode -d --state recentchange.state \e
        https://stream.wikimedia.org/v2/stream/recentchange
    .Ed
    .Pp
    A Mercure hub, two topics, from the beginning of its history the first time, and with updates
    that are private to the token's subscriber:
    .Bd -literal -offset indent
    $ sse-decode --bearer-file subscriber.jwt \e
        --state books.state --last-event-id earliest \e
        --query topic=https://example.com/books/1 \e
        --query 'topic=https://example.com/reviews/{id}' \e
        https://hub.example.com/.well-known/mercure
    .Ed
    """#

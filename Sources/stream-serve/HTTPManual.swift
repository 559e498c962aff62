/// The sections of the manual about what clients ask for and get.
let httpManual = paths + streams + requests + webSocket

private let paths = #"""
    .Sh HTTP INTERFACE
    All paths stand behind
    .Fl Fl prefix .
    Those of GET take HEAD, too.
    Other paths are answered with 404, other methods with 405 and
    .Li Allow ,
    and OPTIONS with 204.
    An error is
    .Li {\(dqerror\(dq:\(dq...\(dq}
    in JSON, what cannot be understood in a query is 400.
    Connections stay for the next request, up to 75 seconds, but for streams.
    .Ss Which events
    .Pa /events , /ws , /poll , /stream
    and
    .Pa /last
    take
    .Bl -tag -width Ds -compact
    .It Li channel= Ns Ar PATTERN
    Events of these channels; may be given several times.
    With an empty value alone, none.
    .It Li event= Ns Ar TYPE
    Events of this type; may be given several times.
    .Li message
    are those that name no type.
    .El
    .Pp
    and, but for
    .Pa /last ,
    where to begin.
    The first of these that is given counts; without any, it is with what comes from now on.
    .Bl -tag -width Ds -compact
    .It Li Last-Event-ID:\& Ar ID
    A field of the request: behind the event with this id.
    .It Li last_event_id= Ns Ar ID
    The same, for clients that cannot send fields.
    .It Li since=earliest
    With the oldest event that is kept.
    .It Li since= Ns Ar COUNT
    With the newest so many events, of those that were asked for.
    .It Li since= Ns Ar DURATION
    With the events of the last
    .Li 30s
    or
    .Li 5m ;
    a number needs its unit here.
    .It Li since= Ns Ar ID
    Behind the event with this id.
    A number that is the id of an event that is kept is taken for that;
    .Li since=last:\& Ns Ar COUNT
    is always a count.
    .El

    """#

private let streams = #"""
    .Ss /events
    Server-Sent Events, as
    .Li EventSource
    of browsers and
    .Xr sse-decode 1
    take them.
    .Bl -tag -width Ds -compact
    .It Li heartbeat= Ns Ar DURATION
    Another
    .Fl Fl heartbeat ,
    but at least a second.
    The stream is then not compressed.
    .It Li records
    The data is the whole event record, so that the channel is seen; the type stands there only, so
    that all events reach the same listener.
    .El
    .Bd -literal -offset indent
    HTTP/1.1 200 OK
    Content-Type: text/event-stream
    Cache-Control: no-cache, no-transform
    X-Accel-Buffering: no
    Connection: close
    Stream-Poll: poll

    retry: 2815

    event: price
    id: mwx247fm-1
    data: {"v":1}
    .Ed
    .Pp
    With
    .Li Accept-Encoding: gzip
    it is compressed.
    The two fields in the middle keep proxies from holding it back;
    .Li Stream-Poll
    tells a client, such as
    .Xr sse-decode 1 ,
    where it finds the same when one does.
    In a page:
    .Bd -literal -offset indent
    const source = new EventSource("/events?channel=prices.*");
    source.onmessage = (e) => show(e.lastEventId, JSON.parse(e.data));
    source.addEventListener("price", (e) => show(e.lastEventId, JSON.parse(e.data)));
    source.addEventListener("gap", () => loadEverythingAnew());
    source.addEventListener("end", () => source.close());
    .Ed
    .Pp
    Events that name a type only come to listeners of that type.
    Without the last line the browser would ask again and again after the end.
    .Ss /stream
    JSON Lines in chunks, or up to the close for HTTP/1.0 and with gzip: an event record a line, or
    with
    .Li raw
    its data alone, without events that have none.
    There is no heartbeat.
    With
    .Li Accept-Encoding: gzip
    it is compressed.
    .Bd -literal -offset indent
    $ curl -sN 'http://127.0.0.1:8080/stream?channel=prices.*&since=10'
    {"event":"price","id":"mwx247fm-1","data":{"v":1},"channel":"prices.x"}
    .Ed

    """#

private let requests = #"""
    .Ss /poll
    Long polling.
    The answer is an array of event records, at once when there are some, and else when the first
    one comes or
    .Li wait
    is over; it may be empty.
    Its field
    .Li Stream-Cursor
    is the id for
    .Li since
    of the next request, and so is
    .Li .id
    of the last record.
    .Bl -tag -width Ds -compact
    .It Li wait= Ns Ar DURATION
    How long it may take (30s), at most 60s; 0 does not wait.
    .It Li max= Ns Ar COUNT
    How many records at most (100), up to 1000.
    .El
    .Ss /last
    An array of the newest event records, the oldest of them first: one for
    .Li n=1 ,
    which is the default, up to 1000.
    .Ss POST /publish
    Publishes JSON, with
    .Fl Fl publish
    (otherwise the answer is 403).
    The body is one JSON value, or an array of many; with
    .Li application/x-ndjson
    or
    .Li application/jsonl
    as
    .Li Content-Type
    it is JSON Lines, each line a value.
    Other types than these, JSON, those that
    .Xr curl 1
    sends by itself and none are answered with 415.
    gzip is recognised.
    .Bl -tag -width Ds -compact
    .It Li channel= Ns Ar NAME , Li event= Ns Ar TYPE
    The channel and the type of all that is published.
    .It Li records
    Each value is an object with
    .Va data ,
    and may have
    .Va channel
    and
    .Va event .
    .El
    .Bd -literal -offset indent
    $ curl -d '[{"v":1},{"v":2}]' 'http://127.0.0.1:8080/publish?channel=a.b'
    {"accepted":2,"ids":["mwx247fm-7","mwx247fm-8"]}
    .Ed
    .Pp
    All values are accepted or none.
    400 says what is wrong, and in which
    .Va line ;
    411, 413 and 415 are about the body, 413 also about more messages than may come in a second, 429
    about the rate, and 503 is said while standard output does not take more.
    The last two have
    .Li Retry-After .
    .Ss Other paths
    .Bl -tag -width Ds -compact
    .It Pa /
    A page that shows the stream.
    .It Pa /healthz
    200: the process is alive.
    .It Pa /readyz
    200 once the input is open, otherwise 503.
    .It Pa /metrics
    The counters for Prometheus.
    .It Pa /stats
    The same as one JSON object, with
    .Fl Fl admin
    (otherwise 404).
    .El

    """#

private let webSocket = #"""
    .Ss /ws
    WebSocket.
    Each event is a text message: its record, or with
    .Li raw
    its data alone: JSON, or the text of
    .Fl Fl text
    and of strings in records, and nothing for an event without data.
    Clients may send these messages, each an object with
    .Va type ,
    and with a
    .Va ref
    of up to 256 bytes, which the answer repeats.
    .Bl -column "unsubscribe" "channel, event, data" -offset indent
    .It Sy type Ta Sy members Ta Sy answer
    .It Li subscribe Ta channel, since Ta ok, with all channels
    .It Li unsubscribe Ta channel Ta ok, with those left
    .It Li publish Ta channel, event, data Ta ok, with the id
    .It Li history Ta channel, since, n Ta history, with events
    .It Li ping Ta Ta pong, with the time
    .It any other Ta Ta error, with a reason
    .El
    .Bd -literal
    {"type":"subscribe","channel":["a.*","b"],"since":"10","ref":1}
    {"type":"ok","ref":1,"channels":["a.*","b"]}
    {"type":"history","channel":"a.**","n":2,"ref":2}
    {"type":"history","ref":2,"events":[{"id":"x-1","data":1,"channel":"a.b"}]}
    {"type":"publish","channel":"a.b","event":"e","data":{"v":1},"ref":3}
    {"type":"ok","ref":3,"id":"mwx247fm-7"}
    {"type":"ping"}
    {"type":"pong","time":"2026-11-26T04:34:26.738Z"}
    {"type":"publish","ref":4}
    {"type":"error","ref":4,"error":"'data' is missing for publish"}
    .Ed
    .Pp
    Events have no
    .Va type .
    Answers to
    .Li publish
    may come behind those to later messages.
    .Va channel
    is a pattern or an array of patterns; to publish it is a name.
    A client gets every event until its first
    .Li subscribe ,
    unless the URL names channels;
    .Li ?channel=
    begins with none.
    .Li history
    without
    .Va channel
    is about the channels that the client gets.
    Both
    .Li history
    and
    .Va since
    bring 1000 events or a megabyte of them at the most.
    .Pp
    Close codes:
    .Bl -tag -width Ds -compact
    .It 1001
    The stream has ended, or the server ends.
    .It 1002 , 1007
    The client broke the protocol.
    .It 1003
    A binary message: all messages are text.
    .It 1008
    More than 1000 messages were refused for their rate.
    .It 1009
    A message longer than
    .Fl Fl max-message .
    .It 1013
    The client is too slow
    .Pq Fl Fl slow Ns = Ns Cm disconnect .
    .El
    .Pp
    A request that is none for WebSocket is answered with 426.

    """#

/// The section of the manual that is about streams that are withheld.
let polling = #"""
    .Sh POLLING
    Some proxies hold a stream back until it ends.
    When two connections in a row bring a head and then nothing for
    .Fl Fl idle-timeout ,
    the URL of
    .Fl Fl poll
    is polled instead, or the one that the server named in the field
    .Li Stream-Poll
    of those heads, as
    .Xr stream-serve 1
    does: a reference to a URL at the same server, which gets the stream's query when it has none.
    After
    .Fl Fl poll-for
    the stream is tried again, and as soon as a poll fails; when that failed for good, there are no
    more polls.
    A URL of
    .Fl Fl poll
    at another origin than the stream gets neither credentials, fields of
    .Fl Fl header
    and parameters of
    .Fl Fl query
    nor the certificate of
    .Fl Fl cert
    unless
    .Fl Fl poll-trusted
    says so; what stands in it, or in
    .Pa .netrc
    for its host, is for it.
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
    It takes the place of a parameter of that name in the URL.
    The next poll follows at once; behind an answer without events, which 204 is too, or whose last
    event is the one that was asked behind, not before the first value of
    .Fl Fl backoff
    has passed since the last.
    A poll that is not answered for
    .Fl Fl idle-timeout
    has stalled, so that this must be longer than the server makes a poll wait.

    """#

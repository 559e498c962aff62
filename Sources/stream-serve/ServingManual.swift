/// The sections of the manual about what becomes of events.
let servingManual = resuming + slowClients + publishing + theEnd

private let resuming = #"""
    .Sh RESUMING AND REPLAY
    The newest events are kept: as many as
    .Fl Fl history ,
    .Fl Fl history-bytes
    and
    .Fl Fl history-age
    allow.
    A client that comes back with the id of the last event that it has gets what came since, and
    then what comes, with nothing in between lost or doubled.
    .Li EventSource
    and
    .Xr sse-decode 1
    do this by themselves; over WebSocket, with
    .Pa /stream
    and with
    .Pa /poll
    it is
    .Li last_event_id
    or
    .Li since .
    .Pp
    When that is not possible, the client is told so by a
    .Li gap ,
    and gets everything that is kept.
    It is an event of type
    .Li gap ,
    in
    .Pa /ws
    and
    .Pa /stream
    a record also with
    .Li raw ,
    the first element for
    .Pa /poll ,
    and the field
    .Li Stream-Gap
    of the answer has its reason:
    .Bd -literal -offset indent
    event: gap
    id: mwx247fm-3
    data: {"reason":"expired","missed":2}
    .Ed
    .Bl -tag -width Ds -compact
    .It Li expired
    The events behind that id are no longer kept.
    .It Li unknown
    No event that is kept has this id, and it is none of this run's.
    .It Li slow , conflated
    The client was too slow, see below.
    .El
    .Pp
    .Va missed
    is the number of events that it does not get, or null when that is not known; those behind an
    expired id are counted over all channels.
    The id is that of the last one of them, so that the next reconnect does not tell the same gap
    again.
    .Pp
    After a restart all numbered ids are unknown: what clients are sent then is the history of the
    new run, and they cannot tell how much is missing.
    With
    .Fl Fl id-from
    an input that is read again from an earlier place brings the ids back.
    Such ids should be unique; of several events with the same, the newest counts.
    An
    .Li unknown
    id may then mean events that the client already has, which it can tell by their ids.

    """#

private let slowClients = #"""
    .Sh SLOW CLIENTS
    A client that does not take what it is sent is behind once the system holds
    .Fl Fl send-buffer
    for it.
    It does not hold up the others.
    For
    .Fl Fl slow-after
    it may catch up with all it has missed, as far as
    .Fl Fl history-bytes
    goes, whatever
    .Fl Fl history
    says.
    After that it is slow when more than
    .Fl Fl buffer
    events wait for it, of those that came after it did: a long replay does not make it slow.
    What happens then is decided when it takes something again:
    .Bl -tag -width Ds
    .It Fl Fl slow Ns = Ns Cm drop-oldest
    It goes on with the newest
    .Fl Fl buffer
    of the events that wait.
    .It Fl Fl slow Ns = Ns Cm drop-newest
    It gets the oldest
    .Fl Fl buffer
    of them, and then goes on with the next that comes.
    .It Fl Fl slow Ns = Ns Cm conflate
    Until it has caught up, it does not get events for which a newer one with the same
    .Fl Fl key-from
    is there.
    Events without a key are not left out.
    .It Fl Fl slow Ns = Ns Cm disconnect
    Its connection ends, over WebSocket with code 1013 if the client takes that.
    It can come back with its last id, and gets what is kept.
    .It Fl Fl slow Ns = Ns Cm block
    The input is not read while more than
    .Fl Fl buffer
    events wait for some client, so that none loses anything, and all are as slow as the slowest.
    .El
    .Pp
    What was left out is told by a
    .Li gap
    with the reason
    .Li slow
    or
    .Li conflated
    and the number of events; the latter has no id.
    A client that takes nothing at all for
    .Fl Fl send-timeout
    is ended, with any policy; so it also bounds how long one client can block.
    So is one whose network is gone: its system is asked when there is nothing to send to it.
    .Pp
    For files that are read while clients are there, and for producers that are faster than any
    network, use
    .Fl Fl slow Ns = Ns Cm block :
    otherwise all that clients cannot take in
    .Fl Fl slow-after
    is dropped.
    For prices and other states,
    .Fl Fl slow Ns = Ns Cm conflate
    gives slow clients the present, and fast ones everything.
    .Pp
    .Pa /poll
    has no slow clients: who comes back too late is told
    .Li expired .

    """#

private let publishing = #"""
    .Sh PUBLISHING
    With
    .Fl Fl publish ,
    what clients send goes to standard output, a line for each message:
    .Bd -literal -offset indent
    {"event":"e","channel":"a.b","client":"4","data":{"v":1}}
    .Ed
    .Pp
    .Va event
    and
    .Va channel
    are left out when the client names none.
    .Va client
    is a number for each connection, so that a program can tell senders apart; it is not known to
    the clients.
    Data is passed on as it is, on one line.
    A pipeline is then an application, here with a FIFO for the way back:
    .Bd -literal -offset indent
    $ mkfifo out.fifo
    $ stream-serve --publish < out.fifo | bot > out.fifo
    .Ed
    .Pp
    What
    .Pa bot
    writes must be flushed line by line.
    With
    .Fl Fl echo
    each message is an event as well, for all clients and the one that sent it, in order with those
    of the input.
    .Pp
    The answer says that the message is on its way to standard output, not that a program has dealt
    with it.
    Its id is that of the event with
    .Fl Fl echo ,
    and else
    .Ar EPOCH Ns -p Ns Ar NUMBER .
    When standard output is not taken, messages are refused once much waits, and events are served
    meanwhile.
    When its reader is gone, the process is ended by SIGPIPE, without a word to the clients: let
    the service manager start the pipeline anew.

    """#

private let theEnd = #"""
    .Sh THE END
    At the end of the input each client gets what is still to come for it, and then
    .Bd -literal -offset indent
    event: end
    data: {"reason":"eof"}
    .Ed
    .Pp
    or the record of that,
    .Li {\(dqevent\(dq:\(dqend\(dq,\(dqdata\(dq:{\(dqreason\(dq:\(dqeof\(dq}} ;
    WebSocket is closed with 1001, and requests of
    .Pa /poll
    that wait are answered.
    The process ends when all clients are gone, after
    .Fl Fl drain
    at the latest; clients that have not got everything by then lose the rest.
    With
    .Fl Fl eof Ns = Ns Cm stay
    it goes on serving what is kept until a signal.
    A file is read at once: without that, or a client that is there before, nobody sees it.
    .Pp
    On SIGTERM, SIGINT and SIGHUP there is no
    .Li end :
    the stream goes on elsewhere or later.
    Clients of
    .Pa /events
    are told to come back in 1 to 10 seconds, at random, and WebSocket is closed with 1001.
    A second SIGTERM or SIGINT ends the process at once.
    The exit status is 0.
    While it ends,
    .Pa /readyz
    and everything new but
    .Pa /healthz , /metrics
    and
    .Pa /stats
    is answered with 503;
    .Pa /poll
    once it has given out what is left.
    .Pp
    Bad input ends the stream like a signal, so that clients come back when the server does, unless
    .Fl Fl on-error Ns = Ns Cm skip
    leaves the line out.

    """#

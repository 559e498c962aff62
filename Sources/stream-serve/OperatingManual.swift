/// The sections of the manual for those who run the server.
let operatingManual =
    alerts + limits + fixedLimits + compression + security + proxies + systemd + browsers
    + performance

private let alerts = #"""
    .Sh ALERT RULES
    Rules for Prometheus that make sense:
    .Bd -literal
    # The producer is silent, or gone.
    rate(streamutils_events_in_total[10m]) == 0
    # Clients do not get everything: they are too slow, or --buffer too small.
    rate(streamutils_dropped_total[5m]) > 0
    # Clients are turned away: a limit is too low, or somebody tries it on.
    rate(streamutils_refused_total{reason=~"full|address"}[5m]) > 0
    # Clients come back too late: --history is too short, or the server new.
    rate(streamutils_replays_total{result="miss"}[5m]) > 0.1
    # Events take more than a quarter of a second: the processors are busy.
    rate(streamutils_lag_seconds_sum[5m]) / rate(streamutils_lag_seconds_count[5m]) > 0.25
    .Ed

    """#

private let limits = #"""
    .Sh LIMITS
    What a client gets beyond each limit:
    .Bl -column "--publish-rate-total" "10000/s" "503, Retry-After; WebSocket: error"
    .It Sy option Ta Sy default Ta Sy beyond it
    .It Fl Fl max-connections Ta 10000 Ta 503, Retry-After
    .It Fl Fl max-per-address Ta 1000 Ta 429, Retry-After
    .It Fl Fl max-head Ta 16K Ta 431
    .It Fl Fl head-timeout Ta 10s Ta 408
    .It Fl Fl max-body Ta 1M Ta 413
    .It Fl Fl body-timeout Ta 30s Ta 408
    .It Fl Fl max-inflated Ta 8M Ta 413
    .It Fl Fl max-message Ta 64K Ta close 1009
    .It Fl Fl max-uploads Ta 64M Ta 503, Retry-After; close 1013
    .It Fl Fl max-subscriptions Ta 100 Ta 400; WebSocket: error
    .It Fl Fl publish-rate Ta 100/s Ta 429, Retry-After; WebSocket: error
    .It Fl Fl publish-rate-total Ta 10000/s Ta the same
    .It Fl Fl history-bytes Ta 64M Ta gap
    .It Fl Fl buffer Ta 100 Ta what Fl Fl slow No says
    .It Fl Fl send-timeout Ta 30s Ta the connection ends
    .It Fl Fl pong-timeout Ta 10s Ta the connection ends
    .It Fl Fl drain Ta 10s Ta the connection ends
    .It Fl Fl max-depth Ta 1024 Ta 400; WebSocket: error
    .El
    .Pp
    Refused connections are answered, whatever they ask for,
    .Pa /healthz
    included, up to 256 of them at a time; more are closed at once.
    They are closed behind the answer, and so are those whose head or body is too long or comes too
    slowly.
    .Fl Fl publish-rate
    is for a connection: a client that opens another has it once more, and only
    .Fl Fl publish-rate-total
    and the limits for connections bound what all send.
    A second's worth may come at once.
    .Fl Fl max-uploads
    is for what is on its way from all clients together, and bounds the memory for it to about twice
    as much; it must be, and by itself is, at least a megabyte more than
    .Fl Fl max-body
    and
    .Fl Fl max-message .
    Whoever sends the byte beyond it is told to come back later.
    What is small enough to come in one piece never counts.

    """#

private let fixedLimits = #"""
    .Pp
    These are fixed: 1000 events in an answer of
    .Pa /poll , /last
    and
    .Li history ,
    and a megabyte, but always one event; 60 seconds of
    .Li wait ,
    a second of
    .Li heartbeat ;
    what goes beyond is taken as these.
    10000 messages in a request of
    .Pa /publish ,
    beyond which it is answered with 400; 64 kilobytes of answers that wait for a client of
    .Pa /ws ,
    beyond which nothing more is read from it until it has taken them.
    .Pp
    Each connection needs a descriptor.
    The process raises its limit as far as it may; when there are none left, new connections wait.
    .Pp
    Each worker has a history of its own, so that
    .Fl Fl history-bytes
    of memory are needed for each, and up to twice as much.

    """#

private let compression = #"""
    .Sh COMPRESSION
    .Pa /events
    and
    .Pa /stream
    are compressed with gzip, and
    .Pa /ws
    with permessage-deflate, for clients that accept it: browsers do.
    What many clients receive, the same channels and types in the same form, is compressed once for
    all of them, with a window that goes on from event to event, so that even short events shrink.
    It costs that much work for each different stream, and a quarter of a megabyte; each worker has
    64 such streams at the most, and others are sent plain.
    .Pp
    A client can only begin where nothing refers to what was before.
    Such a boundary is made for those who wait for one, at most four times a second, and costs a
    little compression; until then they get events plain, or stored within gzip, and so do those
    who are behind.
    Clients that ask for no context takeover, or for a smaller window, get plain frames.
    .Pp
    .Pa /poll
    and
    .Pa /last
    are never compressed.
    Use
    .Fl Fl compress Ns = Ns Cm off
    in a fast network, when a proxy in front compresses, and when a stream has secrets beside what
    an attacker may publish: the length of what is sent would tell of them.

    """#

private let security = #"""
    .Sh SECURITY
    Unless
    .Fl Fl listen
    names another address, only this machine can connect.
    There is no TLS and no authentication: whoever can connect can read everything,
    .Pa /metrics
    included, and with
    .Fl Fl publish
    write what they like, under any channel.
    For anything else put a proxy in front.
    .Pp
    Programs may connect from anywhere, pages in browsers may not.
    A request whose
    .Li Origin
    is not
    .Li http://
    or
    .Li https://
    and its own
    .Li Host
    comes from a page of another site.
    Unless
    .Fl Fl origin
    names it, such as
    .Li https://www.example.com ,
    WebSocket and
    .Pa /publish
    are refused with 403, and of other paths the browser does not let the page read the answer.
    .Fl Fl origin Ns = Ns *
    opens the stream to every page that any user of this machine, or of its network, looks at.
    Pages of other origins get nothing with cookies or passwords.
    .Li Host
    itself is not checked: a page whose name is made to point to this machine (DNS rebinding) counts
    as its own.
    Where that matters, listen at a Unix socket, or behind a proxy that serves its own names only.

    """#

private let proxies = #"""
    .Ss Behind a proxy
    The proxy must pass
    .Li Host
    as it is, or pages of its own are refused.
    For all that comes through it there is one address: raise
    .Fl Fl max-per-address
    to
    .Fl Fl max-connections ,
    and let the proxy count instead, or connect over a Unix socket, for which there is no such
    limit.
    A Unix socket has the mode that the umask leaves; who connects needs to write to it.
    .Pp
    nginx:
    .Bd -literal -offset indent
    location / {
        proxy_pass http://127.0.0.1:8080;
        proxy_http_version 1.1;
        proxy_set_header Host $http_host;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection $http_connection;
        proxy_read_timeout 1h;
    }
    location = /metrics { deny all; }
    .Ed
    .Pp
    Caddy:
    .Bd -literal -offset indent
    stream.example.com {
        reverse_proxy 127.0.0.1:8080 {
            flush_interval -1
        }
    }
    .Ed
    .Pp
    stunnel, for TLS alone:
    .Bd -literal -offset indent
    [stream]
    accept = 443
    connect = 127.0.0.1:8080
    cert = /etc/ssl/stream.pem
    .Ed
    .Pp
    Authentication is the proxy's, too: a password, a cookie
    .Pq Li auth_request
    or a client certificate.
    .Li EventSource
    and
    .Li WebSocket
    of browsers cannot send fields, but do send cookies.

    """#

private let systemd = #"""
    .Sh SYSTEMD
    With
    .Fl Fl listen Ns = Ns Li fd:\&
    the sockets that systemd passes are used.
    They stay open over a restart: clients wait meanwhile instead of being refused.
    .Bd -literal -offset indent
    # journal-stream.socket
    [Socket]
    ListenStream=127.0.0.1:8080

    [Install]
    WantedBy=sockets.target

    # journal-stream.service
    [Service]
    Type=notify
    ExecStart=/bin/bash -c 'exec stream-serve -l fd: \e
        < <(exec journalctl -f -n 0 -o json)'
    DynamicUser=yes
    SupplementaryGroups=systemd-journal
    KillMode=mixed
    LimitNOFILE=20000
    WatchdogSec=30s
    Restart=always
    .Ed
    .Pp
    The sockets are passed to the main process only: hence
    .Li exec ,
    and no pipeline.
    With
    .Li KillMode=mixed
    the input does not end before the server was told to.
    .Li Type=notify
    says that it listens, and the watchdog is told that the input is still looked at.

    """#

private let browsers = #"""
    .Sh BROWSERS
    With HTTP/1.1 a browser opens six connections to a host, all of its tabs and windows together:
    a seventh
    .Li EventSource
    waits, and so do all other requests to that host.
    HTTP/2 has no such limit: a proxy with TLS in front speaks it.
    Otherwise use WebSocket, which has a much higher limit, or one connection that a
    .Li SharedWorker
    shares.
    .Pp
    .Li EventSource
    comes back by itself after
    .Li retry
    and with its last id, unless the answer was an error.
    .Li WebSocket
    does not: a page keeps the
    .Va id
    of the last event, waits a random time, and connects with
    .Li last_event_id .

    """#

private let performance = #"""
    .Sh PERFORMANCE
    The work for an event that thousands receive is one send for each of them, and a send costs the
    same for one event as for many.
    So under load events go together, at most
    .Fl Fl flush-interval
    later: more of it saves work and costs time, 0 is for few clients.
    .Pp
    Clients that get the same, the same channels and types in the same form, share its rendering and
    its compression.
    A few channels that many subscribe to are cheaper than a pattern of its own for everyone.
    .Pp
    Workers share no clients.
    One for each processor is right when there is nothing else to do; a server with few clients
    needs one, and has one history then.
    .Fl Fl send-buffer
    decides how late it is noticed that a client is slow, and how much memory of the system it
    takes.
    Connections that come faster than they are accepted wait in a queue, whose length the system
    bounds:
    .Li net.core.somaxconn .
    """#

import StreamTool

let manual = Manual(
    description: #"""
        .Nm
        connects to a WebSocket server, sends each line of standard input as a message, and writes
        each message that it receives as a line.
        .Ar URL
        begins with
        .Li ws://
        or
        .Li wss://
        (or
        .Li http://
        or
        .Li https:// ) .
        With
        .Fl Fl listen
        it is the server itself.
        Input that is gzip is inflated.
        .Pp
        At the end of the input, once everything is sent, it waits for replies until neither side
        has sent a message for 2 seconds
        .Pq Fl Fl wait ,
        closes the connection, writes what the peer sends before it closes too, and ends.
        A peer that never pauses is heard as long as it talks, unless
        .Fl Fl max-time
        or
        .Fl Fl count
        end it.
        When nothing at all came back, it says so;
        .Fl Fl wait Ns = Ns 0
        is for peers that never reply.
        With
        .Fl Fl no-close
        or
        .Fl Fl count
        it goes on receiving; a service whose standard input is
        .Pa /dev/null
        wants one of them.
        A peer that closes ends it, too, unless there is
        .Fl Fl reconnect .
        .Pp
        A slow standard output is waited for: nothing more is read from the peer once
        .Fl Fl receive-buffer
        is full, and pings are answered until then.
        A slow peer is waited for: standard input is not read meanwhile.
        .Pp
        Compression (permessage-deflate) is offered and used when the peer agrees.
        Text must be UTF-8, and is checked, both ways.
        .Pp
        On a terminal, what is typed stands behind a prompt, and what is received is written above
        it, in another colour, control characters escaped.
        The left and right keys, Home and End move the cursor, Backspace, Delete, Ctrl-U, Ctrl-K and
        Ctrl-W erase, the up and down keys bring back earlier lines, Ctrl-L draws the prompt again,
        and Ctrl-D on an empty line ends the input.
        A line that is no message is told, and the session goes on.
        """#,
    more: forms + staying + serving + closeCodes + checks + secrets,
    statuses: [
        0: "Done: the peer closed with 1000 or 1001 or without a code, or a signal asked to stop"
            + " and nothing was left to send.",
        1:
            "Done, but some line was rejected, dropped or not sent, or not confirmed by the peer.",
        69: "The connection could not be had, or was lost, or the peer closed with 1011 to 1014 or"
            + " a code of its own (3000 to 4999), or there was no reply for --one within --wait.",
        76: "The peer broke the protocol: a bad frame, a message longer than --max-message, a"
            + " handshake that is none; or it says that we did, with 1002, 1003, 1007, 1009 or"
            + " 1010.",
        77: "Permission denied: status 401, 403 or 407, a certificate that cannot be verified, or"
            + " close code 1008.",
        78:
            "What an option names cannot be used: a certificate, a key, a proxy of an unknown kind,"
            + " an address of the other family.",
    ],
    examples: examples,
    seeAlso: [
        "curl(1)", "jq(1)", "sse-decode(1)", "stream-batch(1)", "stream-sample(1)",
        "systemd.socket(5)", "streamutils(7)",
    ])

private let forms = #"""
    .Sh LINES AND MESSAGES
    .Bl -column "records" "a line that is sent" -compact
    .It Sy form Ta Sy a line that is sent Ta Sy what is written
    .It Li -d Ta any JSON value Ta JSON on one line; other text as a JSON string;
    .It Ta Ta Li {\(dqbinary\(dq:\(dqbase64\(dq} ;
    .It Ta Ta several objects or arrays, each on its line
    .It Li -r Ta Li {\(dqtype\(dq:\(dqtext\(dq,\(dqdata\(dq:\(dq...\(dq} Ta the same
    .It Ta Li {\(dqtype\(dq:\(dqbinary\(dq,\(dqdata\(dq:\(dqbase64\(dq} Ta the same
    .It Li -t Ta any UTF-8 text Ta the message and a newline
    .It Li -t0 Ta any UTF-8 text up to a NUL Ta the message and a NUL
    .It Li -b Ta as many bytes as come, up to Fl Fl chunk Ta the message
    .El
    .Pp
    In a text record,
    .Li data
    may be any other JSON value than a string: its JSON text is sent.
    Blank lines are skipped, but for
    .Fl Fl text :
    there an empty line is an empty message.
    Only
    .Fl r
    and
    .Fl b
    with
    .Fl Fl length-prefix
    keep every message apart from the next, whatever is in it.
    .Pp
    With
    .Fl Fl all ,
    what happens to the connection is written as records in between:
    .Bd -literal
    {"type":"open","time":"...","url":"...","status":101,"subprotocol":"...","extensions":"..."}
    {"type":"close","time":"...","code":1000,"reason":"...","clean":true}
    {"type":"ping","time":"...","data":"..."}
    {"type":"pong","time":"...","data":"...","rtt_ms":0.412}
    {"type":"reconnect","time":"...","attempt":1,"wait_ms":812.004,"reason":"..."}
    .Ed
    .Pp
    A close that is not clean was no Close frame of the peer: the connection was lost, with code
    1006, or ended by us, with the code that we sent.
    The URL stands there without credentials and without the values of its query.

    """#

private let staying = #"""
    .Sh STAYING UP
    Every 30 seconds
    .Pq Fl Fl ping
    a ping is sent.
    When nothing at all comes for 10 seconds behind it
    .Pq Fl Fl pong-timeout ,
    and the peer takes nothing that was sent, the connection is dead.
    With
    .Fl Fl idle-timeout ,
    it has also failed when the peer answers pings but sends no messages.
    .Pp
    With
    .Fl Fl reconnect ,
    a connection that failed is made again, after a random time
    .Pq Fl Fl backoff ,
    and so is one that the peer closed, but for codes that say that no second try will do.
    So are refusals with status 408, 425, 429 or any of 500 to 599 but 501 and 505
    .Pq Fl Fl retry-statuses ,
    not before
    .Li Retry-After ,
    which is believed up to a day.
    A certificate or key that is missing or not whole may be one that is being replaced: it is read
    again, too.
    Secrets in files are read anew each time, and the lines of
    .Fl Fl on-open
    and
    .Fl e
    are sent first, so that subscriptions come back.
    .Pp
    Meanwhile
    .Fl Fl buffer
    lines are read ahead, and
    .Fl Fl overflow
    says what happens to more.
    With
    .Ar spill:FILE
    the file is emptied once its lines are sent; what is not sent at the end is left in it for the
    next run, and a run that is killed leaves lines there that it may have sent.
    One run at a time has the file: another is refused at once, with exit status 73.
    The lock that says so is on
    .Ar FILE Ns Pa .lock ,
    which stays.
    A line is sent again on the next connection unless the system, or TLS, took the whole message.
    .Ss What arrived
    What the system took may have arrived or not when the connection ends, also when the peer closes
    it properly.
    A pong, or the peer's answer to our close, confirms what was sent before.
    So does a close with 1000 of a peer that has sent a message for each one it got, after it.
    Once all came that was wanted
    .Pq Fl Fl one , Fl Fl count ,
    or the reader of standard output has left, each message that came after a line confirms one.
    The rest is told, counted as
    .Li unconfirmed
    in
    .Fl Fl stats ,
    and makes the exit status 1; or with
    .Fl Fl resend-unconfirmed
    it is sent again on the next connection and counted as
    .Li resent :
    each line arrives at least once.
    A library may answer for an application that has not come to a line yet: where that matters, the
    application has to reply.
    What is sent first on each connection is not counted.
    A client that closes the connection of
    .Fl Fl listen
    properly does as it likes: that is counted, and no more.
    .Ss What came meanwhile
    With
    .Fl Fl resume-from
    and
    .Fl Fl resume-param ,
    a new connection asks for what follows the last message:
    .Bd -literal
    ws-cat --no-close --reconnect --resume-from .id --resume-param since \e
        'wss://example.org/ws?channel=prices' </dev/null
    .Ed
    .Pp
    The last number or string at the path takes the place of the parameter in the URL, also when one
    message holds several values.
    This is what
    .Xr stream-serve 1
    and feeds with sequence numbers need.

    """#

private let serving = #"""
    .Sh AS A SERVER
    .Fl Fl listen
    serves one peer at a time, others wait.
    Requests that come from a web page, with an
    .Li Origin
    field, are turned away unless
    .Fl Fl origin
    names it: any page in any browser on the machine could connect otherwise.
    There is no TLS: a proxy in front does that.
    With
    .Fl Fl listen Ns = Ns Li fd:\&
    the first socket that systemd passes is used (see
    .Xr systemd.socket 5 ) .

    """#

private let closeCodes = #"""
    .Sh CLOSE CODES
    What is sent:
    .Bl -tag -width Ds -compact
    .It 1000
    At the end of the input, or
    .Fl Fl close-code .
    .It 1001
    A signal asked to stop.
    A second one, half a second later or more, ends the wait for the peer's Close: what was not
    confirmed is told, and the process ends by the signal.
    .It 1002
    The peer broke the protocol.
    .It 1007
    Text that is not UTF-8, or a message that does not inflate.
    .It 1009
    A message longer than
    .Fl Fl max-message .
    .El
    .Pp
    What comes from the peer:
    .Bl -tag -width Ds -compact
    .It 1000, 1001, none
    Exit status 0.
    With
    .Fl Fl reconnect ,
    connect again.
    .It 1002, 1003, 1007, 1009, 1010
    The peer does not accept what was sent: exit status 76, no reconnect.
    .It 1008
    It does not allow it: exit status 77, no reconnect.
    With a reason that speaks of too many requests or a rate limit, reconnect.
    .Fl Fl retry-codes
    lists more codes that are to be taken so.
    .It 1006 (never sent)
    The connection was lost without a close: exit status 69, or reconnect.
    .It 1011 to 1014
    The server failed, restarts, or wants to be left alone for now: exit status 69, or reconnect.
    .It 3000 to 4999
    Codes of the application: exit status 69, or reconnect unless
    .Fl Fl final-codes
    lists them.
    .El

    """#

private let checks = #"""
    .Sh HEALTH CHECKS
    .Fl Fl one
    sends a line and waits up to 30 seconds
    .Pq Fl Fl wait
    for its reply.
    The connection, with every try that
    .Fl Fl reconnect
    makes, may take as long before, from the start or, where it comes later, from the line.
    When there was no reply in time, the peer's Close is not waited for.
    .Bl -tag -width Ds -compact
    .It 0
    A reply came.
    .It 65
    The line is no message.
    .It 69
    There is no connection, or no reply in time.
    .It 76 , 77 , 78
    The peer speaks no WebSocket, or lets nobody in, or an option is wrong.
    .El
    .Pp
    A plugin for Nagios and its kin:
    .Bd -literal
    #!/bin/sh
    reply=$(echo '{"op":"ping"}' | ws-cat -1 --wait 5s "$1" 2>&1)
    status=$?
    case $status in
    0) echo "WEBSOCKET OK - $reply" ;;
    69) echo "WEBSOCKET CRITICAL - $reply"; exit 2 ;;
    *) echo "WEBSOCKET UNKNOWN - status $status: $reply"; exit 3 ;;
    esac
    .Ed
    .Pp
    For the textfile collector of Prometheus' node exporter, where
    .Li streamutils_records_out_total
    is 1 when a reply came, and
    .Li streamutils_elapsed_seconds
    how long that took:
    .Bd -literal
    echo '{"op":"ping"}' | ws-cat -q -1 --wait 5s \e
        --metrics-file /var/lib/prometheus/node-exporter/ws.prom \e
        wss://example.org/ws >/dev/null
    .Ed

    """#

private let secrets = #"""
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
    .It Ev LISTEN_FDS , LISTEN_PID
    The sockets that systemd passes.
    .It Ev NO_COLOR , TERM
    Whether colours are shown.
    .El
    .Sh SECRETS
    What stands on the command line can be seen by every user of the machine.
    .Fl Fl bearer-file ,
    .Fl Fl header Ns = Ns Ar @FILE ,
    .Fl Fl cookie Ns = Ns Ar @FILE ,
    .Fl Fl query Ns = Ns Ar NAME=@FILE
    and
    .Fl Fl netrc
    read them from files, also from
    .Pa /dev/fd/N .
    None of them is ever part of a diagnostic or a record.
    """#

private let examples: [Example] = [
    Example(
        "A request and its reply; here another ws-cat is the server.",
        #"ws-cat --listen 0 --port-file /dev/stdout --echo --no-close </dev/null | "#
            + #"{ read -r port; echo '{"op":"ping"}' | ws-cat -1 ws://localhost:$port; }"#,
        output: "{\"op\":\"ping\"}\n"),
    Example(
        "Messages with all that is in them, newlines and bytes.",
        #"ws-cat -r --listen 0 --port-file /dev/stdout --no-close </dev/null | "#
            + #"{ read -r port; printf 'two\nlines' | ws-cat -t0 --wait 0 ws://localhost:$port;"#
            + #" cat; }"#,
        output: "{\"type\":\"text\",\"data\":\"two\\nlines\"}\n"),
]

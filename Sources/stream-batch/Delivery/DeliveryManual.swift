import StreamTool

let delivering = #"""
    .Sh DELIVERY
    The command behind
    .Li --
    is started for each batch, without a shell, or
    .Li sh -c
    with the line of
    .Fl x .
    It must exist when the tool starts.
    .Pp
    The batch is its standard input, a file in memory: it may read it at its own pace, in part, or
    not at all.
    Processes that it leaves behind are not waited for.
    With
    .Fl Fl format Ns = Ns Cm lines
    there are the lines only, no separator.
    What it writes to standard output is written when it has ended with exit status 0, whole, and
    with
    .Fl Fl keep-order
    in the order of the batches; of an attempt that failed it is thrown away, for the next one
    writes it again.
    Text that does not end in a line feed gets one, so that it stays apart from what comes next,
    unless
    .Fl Fl no-newline
    says not to; what is not UTF-8, or has a NUL in it, is binary and never gets one.
    Its standard error is passed on by lines.
    .Bl -tag -width BATCH_ATTEMPT
    .It Ev BATCH_RUN
    Which run it is: 32 random hexadecimal digits, with
    .Fl Fl journal
    the same in all runs with that journal.
    .It Ev BATCH_SEQ
    The number of the batch: 1, 2, 3, ...
    .It Ev BATCH_PART
    Which of its lines there are: 1-1000, and with
    .Fl Fl bisect
    also 501-1000, with
    .Fl Fl results
    also 2-2,5-7.
    The three together name a delivery, for a receiver that must know what it has already: the
    same after a retry, a crash and
    .Fl Fl redeliver .
    .It Ev BATCH_COUNT
    How many lines there are.
    .It Ev BATCH_BYTES
    How many bytes the standard input has.
    .It Ev BATCH_KEY
    The key: of a string its text, else its JSON text.
    Not there without
    .Fl Fl key ,
    for a key with a NUL and for one of more than 100000 bytes.
    .It Ev BATCH_FROM , BATCH_TO
    The beginning and the end of its window, of a session the times of its first and its last
    line, and else when its first and its last line came, as in RFC 3339 with milliseconds.
    .It Ev BATCH_ATTEMPT
    1, and one more with each retry.
    .El
    .Pp
    A service that takes an idempotency key applies a delivery once, however often it comes:
    .Bd -literal -offset indent
    stream-batch -n 500 --journal /var/lib/ship --retries 5 -x 'curl -sSf \e
      -H "Idempotency-Key: $BATCH_RUN-$BATCH_SEQ-$BATCH_PART" \e
      --data-binary @- https://api.example.com/v1/events'
    .Ed
    .Pp
    The command runs in a process group of its own, so that
    .Fl Fl timeout
    ends what it started, too (what ignores SIGTERM is killed as long as the command itself runs),
    and SIGINT from a terminal does not: the batch at work is finished first.
    Anything but exit status 0 is a failure.
    A batch that waits to be tried again keeps its place among
    .Fl Fl jobs ,
    so that with one job batches are delivered strictly in order.
    As many batches as
    .Fl Fl max-queue
    wait beside those at work; then no more input is read.
    .Pp
    An exit status of
    .Fl Fl permanent
    is the answer of a receiver that works: such a batch is not tried again.
    Without
    .Fl Fl breaker
    a batch that has used up its
    .Fl Fl retries
    is split, with
    .Fl Fl bisect ,
    or given up.
    .Pp
    What cannot be delivered is never dropped: it goes to
    .Fl Fl dead-letter ,
    stays in the
    .Fl Fl journal ,
    or is spilled with all that was read behind it, as plain lines for the next run.
    For that a line of which the end was not read yet is read on, while
    .Fl Fl grace
    lasts, and left out when it does not end; the message says so.
    It also says from which line on a file was not read.
    A dead letter is on the disk before its batch counts as done.
    It begins a line, also in a file that ends in half a one.
    No file may be input and output, or have two options that write one.
    .Pp
    SIGTERM, SIGINT and SIGHUP stop the reading; what is open is closed, each batch is tried once
    more, and commands may run for
    .Fl Fl grace .
    A second SIGTERM or SIGINT, half a second later or more, ends the grace, a third one the tool.
    The exit status is 69 when lines were spilled.
    A batch whose output nobody takes for so long is not delivered.
    Only the journal keeps what is not delivered when the tool is killed, as by SIGPIPE when the
    reader of its standard output is gone.
    .Ss Exit statuses of common commands
    .Fl Fl permanent
    is for statuses that no further attempt can change.
    Many commands use one status for a refusal and for an outage; then leave it out, and let
    .Fl Fl breaker
    tell.
    .Bl -tag -width Ds
    .It curl -f, --fail-with-body
    22 is any HTTP status from 400, a 503 as well as a 400, and must not be permanent.
    5, 6, 7, 28, 35, 52 and 56 are a network or a server that is away.
    1, 2, 3 and 4 are mistakes in the command: add them.
    .It psql -v ON_ERROR_STOP=1
    1 is an error of psql, 2 a connection that failed or was lost, 3 an error in the script.
    .Li --permanent 3,64,126,127
    if no statement can fail for a deadlock or a lock.
    .It aws (version 2)
    252 is a request that is not valid: add it.
    1, 2 and 255 are errors of other kinds, 253 missing credentials, 254 an error that the service
    returned, which may be throttling; 130 is SIGINT.
    .It jq
    2 and 3 are mistakes in the command, 5 a value that the program cannot do with: add them.
    .It ssh
    255 is a connection that failed; all others are those of the command over there.
    .El
    .Ss Refused or away
    A command that fails may stand for a receiver that refuses this batch for good, or for one that
    is away.
    With
    .Fl Fl breaker Ar FAILURES : Ns Ar DURATION
    the answers to other batches tell which; an answer is exit status 0 or one of
    .Fl Fl permanent .
    .Bl -bullet -compact
    .It
    After FAILURES failed attempts in a row the breaker is open: one batch is tried each DURATION,
    each that is held in turn, until one is answered.
    As much input is read as gives a batch to try; what is held is bounded (64 MiB, 1000 batches).
    .It
    These attempts are retries.
    A batch that has used up its
    .Fl Fl retries
    is split with
    .Fl Fl bisect ,
    while the breaker is open the oldest one only.
    .It
    What cannot be split is put aside, so that others go on, and is tried again after each answer.
    It is refused once it has failed
    .Fl Fl retries
    and one times, twice at least, each time between two answers to others with fewer than FAILURES
    batches (two at least) that failed meanwhile.
    .It
    At the end of the input, when nothing else is left to try, no answer can tell.
    Then it is tried PROBES times (100, so 50 minutes with 30s), one tenth of it if it has failed
    between two answers already, and refused if none of these attempts is answered.
    An outage that begins there and lasts longer ends in dead letters.
    .It
    While nothing at all was answered in a run, nothing is refused, and the tool tries on until it
    is stopped; with
    .Fl Fl journal
    it ends after PROBES attempts at the end of the input (exit 69), and the next run goes on, with
    what is new then.
    .El
    .Pp
    What was put aside and is delivered after all comes after later batches, also with one job; its
    output does not, with
    .Fl Fl keep-order .
    .Va set_aside
    in
    .Fl Fl stats
    counts what was put aside.
    .Sh RESULTS
    A bulk endpoint takes some records of a request and refuses others.
    With
    .Fl Fl results
    the command has descriptor 3 to say so, which is also in
    .Ev BATCH_RESULT_FD .
    It writes a JSON object on a line for each item that failed:
    .Bd -literal -offset indent
    {"item":3,"retry":false,"error":"mapper_parsing_exception"}
    {"item":7,"retry":true}
    {"retry_after":2.5}
    .Ed
    .Pp
    .Va item
    is the item's number in what the command got, from 1.
    .Va retry
    says whether it may be tried again (true unless given),
    .Va error
    what is wrong with it.
    .Va retry_after
    is the time in seconds, at most a day, before what is left is tried again, also as a string, as
    HTTP has it; it counts after every exit status.
    .Pp
    The items count when the command ends with exit status 0.
    Those that it does not name are delivered.
    Those with
    .Li \&"retry":false
    are dead letters at once, one for each
    .Va error ,
    the others are tried again by themselves as often as
    .Fl Fl retries
    says;
    .Ev BATCH_PART
    is then such as 2-2,5-7.
    When all of them may be retried, or there is nothing but
    .Va retry_after ,
    the attempt has failed as a whole.
    With any other exit status it has anyway.
    What the command writes to standard output is written when an item was delivered.
    .Pp
    Anything else on descriptor 3 is a mistake in the command: the attempt has failed, and the run
    ends (exit 69) when all
    .Fl Fl retries
    have; nothing becomes a dead letter for it.
    So is more there than
    .Fl Fl max-output
    allows, which counts for standard output and for descriptor 3 each.
    Of a batch that is partly delivered when the tool is killed the
    .Fl Fl journal
    brings all back.

    """#

let deadLetters = #"""
    .Sh DEAD LETTERS
    A dead letter is an object with
    .Va time ,
    when it became one,
    .Va run , seq
    and
    .Va part ,
    which name the delivery,
    .Va key , count , from
    and
    .Va to
    of its batch,
    .Va attempts , error , status
    or
    .Va signal , stderr ,
    the last line that the command wrote there, and the lines: as
    .Va items
    where they are JSON, each as it came; else as strings in
    .Va raw ,
    or in base64 in
    .Va raw_base64
    when they are not UTF-8.
    With
    .Fl Fl aggregate
    there is
    .Va batch ,
    the object that was to be delivered.
    .Pp
    When the receiver is mended, the same command line delivers them:
    .Bd -literal -offset indent
    mv dead.jsonl again.jsonl
    stream-batch --redeliver again.jsonl --dead-letter dead.jsonl -- COMMAND
    .Ed
    .Pp
    A run that goes on meanwhile makes a new
    .Pa dead.jsonl ,
    and its later letters are there.
    Each letter is a batch again, with its
    .Ev BATCH_RUN , BATCH_SEQ
    and
    .Ev BATCH_PART ,
    its lines byte for byte, in the form of
    .Fl Fl format ;
    options that make batches of lines have nothing to do.
    Lines that were no JSON need
    .Fl Fl text
    or
    .Fl Fl no-validate
    if they had it before.
    At the end with exit status 0 or 1, each letter is delivered or in the new file, and
    .Pa again.jsonl
    can go.
    When the run is cut short, the same command begins anew, and what was delivered is delivered
    again.
    To choose among letters, take
    .Xr grep 1
    and
    .Fl Fl redeliver Ns = Ns Pa - ;
    .Xr jq 1
    changes long numbers and equal keys.

    """#

let journaling = #"""
    .Sh JOURNAL
    .Fl Fl journal Ar DIR
    records lines in
    .Pa DIR/journal
    until their batch is delivered or a dead letter.
    After a crash, kill -9 included, the same command first delivers the batches that were closed,
    in order, with the same
    .Ev BATCH_SEQ
    and lines; then it batches the lines of open ones anew, and goes on in regular files where it
    was.
    What a pipe held is its writer's to send again.
    Each batch is delivered at least once: one that was delivered just before the crash comes again
    with its
    .Ev BATCH_SEQ ,
    which goes on over all runs, so that the receiver can tell.
    After an end of the input with all delivered, the next run reads its files from the start, with
    .Fl Fl resume
    what is new in them.
    .Pp
    Places in regular files are recorded with their lines.
    The file is text, and like all others in DIR only its owner can read it.
    It takes at most 64 MiB, or twice what waits, and a little.
    Only one run can use DIR at a time (exit 73).
    A journal that is found cut off, as by a full disk or a power failure, is told with the place;
    what was not written to its end did not count.
    One that is damaged is kept as
    .Pa DIR/journal.damaged ,
    or with a number when there is one, and the run goes on and exits 1 at the end: what is sound
    is delivered, whether it stands before the damage or after it, and files are read again from
    where they were before it, so that their lines may come twice; lines of a pipe may be missing,
    and are in that file.
    Something that is no journal, or one of a later version, is left alone (exit 65).
    Opening it takes some times as much memory as it has lines that wait.
    Without
    .Fl Fl journal-sync
    it survives the death of the process, not of the machine.
    .Ss Files that grow and are rotated
    .Fl Fl resume
    knows a file by what is in it: the 64 KiB before the place up to which it was read, and its
    first 4 KiB.
    Name, inode and device do not matter: a file that was renamed, moved, copied or compressed goes
    on where it was; one that is shorter, or differs there, is another file and is read from its
    start, also when it has the name and the inode of the one before.
    Of the file itself only what is new is read, of a compressed one all.
    .Pp
    Give all files that a rotation may have put lines into since the last run, the oldest first:
    .Li log.1 log
    when a run comes between any two rotations,
    .Li log.2.gz log.1 log
    when two may come between two runs.
    An operand that is not there, as in the middle of a rotation, is told and passed over as long
    as there is another one (exit 66 when there is none).
    What this comes to:
    .Bl -bullet
    .It
    A file that is being copied or compressed holds the beginning of another one and nothing else;
    it is told, and left to the next run.
    .It
    With
    .Li copytruncate
    what a program writes between the copy and the truncation is lost before anybody can read it.
    A file that is truncated while it is read is left to the next run, and so is what was not read
    of it, in the copy.
    .It
    Less than 1 KiB may be what every such file begins with.
    A file of which no more was read is known by its inode and its time of birth, too, and when it
    is copied or compressed then, these lines come twice.
    .It
    Two files that hold the same lines up to there are two when both were given from the beginning;
    one that is given later, and has all that was read of another one, is a copy of it.
    .It
    A last line without a line feed is not taken before it has one, but from a compressed file.
    .It
    The places of 1000 files are remembered, besides those that a run reads: one that was not given
    for so long is read from its start again.
    .El
    """#

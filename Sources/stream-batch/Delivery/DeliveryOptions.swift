import StreamCodec
import StreamTool

/// How batches are given to a command.
struct DeliveryOptions {
    /// -x: what `sh -c` runs instead of the command behind `--`.
    var shellLine: String?
    /// How many commands run at once.
    var jobs = 1
    var keepsOrder = false
    /// Nanoseconds that a command may run; nil: as long as it likes.
    var timeout: UInt64?
    /// Nanoseconds from SIGTERM to SIGKILL.
    var killAfter: UInt64 = 5_000_000_000
    /// How often a batch is tried again.
    var retries = 0
    /// Nanoseconds: of the first wait, and of the longest.
    var backoff = Backoff(range: 1_000_000_000...60_000_000_000)
    /// Exit statuses after which a batch is not tried again.
    var permanent: Set<Int32> = [2, 64, 126, 127]
    var bisects = false
    var deadLetterFile: String?
    /// Dead letters to deliver instead of lines.
    var redelivered: Operand?
    /// Where batches go that cannot be delivered and have no dead letter file.
    var spillFolder = "/var/tmp"
    var breaker: (failures: Int, duration: UInt64)?
    /// Bytes that a command may write.
    var maxOutput = 64 << 20
    /// What a command writes gets no line feed at its end.
    var keepsOutput = false
    /// Closed batches that wait for a command; nil: as many as --jobs.
    var maxQueue: Int?
    /// Nanoseconds that are left to finish in when a signal asks to stop.
    var grace: UInt64 = 10_000_000_000
    var journalFolder: String?
    /// The next run goes on where this one ended in its files.
    var resumes = false
    /// The journal is on the disk, not only with the system, before a batch is delivered.
    var syncsJournal = false

    /// The options that need a command, of those that were given.
    private(set) var given: [String] = []

    mutating func note(_ option: String) {
        if !given.contains(option) { given.append(option) }
    }
}

extension BatchOptions {
    /// Changes the delivery and remembers which option did.
    fileprivate mutating func deliver(
        _ option: String, _ change: (inout DeliveryOptions) -> Void
    ) {
        change(&delivery)
        delivery.note(option)
    }
}

var deliveryOptions: OptionGroup<BatchOptions> {
    OptionGroup("Delivery to a command", runningOptions + failureOptions + journalOptions)
}

private var runningOptions: [Option<BatchOptions>] {
    [
        .string(
            "x", "shell", "LINE", { $0.delivery.shellLine = $1 },
            "Give each batch to sh -c LINE as its standard input, instead of to a COMMAND without a"
                + " shell. What it writes is written when it has ended well."),
        .count(
            "j", "jobs", "N", { settings, count in settings.deliver("--jobs") { $0.jobs = count } },
            in: 1...1024,
            "How many commands run at once (1). The output of each stays whole."),
        .set(
            nil, "keep-order",
            { settings in settings.deliver("--keep-order") { $0.keepsOrder = true } },
            "Write the output of the commands in the order of the batches."),
        .duration(
            nil, "timeout",
            { settings, time in
                settings.deliver("--timeout") { $0.timeout = time == 0 ? nil : time }
            }, orZero: true,
            "How long a command may run. Then it and what it started get SIGTERM, and the attempt"
                + " has failed. 0 sets no limit, as without the option."),
        .duration(
            nil, "kill-after",
            { settings, time in settings.deliver("--kill-after") { $0.killAfter = time } },
            orZero: true,
            "How long after SIGTERM a command gets SIGKILL (5s); with 0 at once."),
        .size(
            nil, "max-output",
            { settings, size in settings.deliver("--max-output") { $0.maxOutput = size } },
            in: 0...1 << 40,
            "How much a command may write for a batch (64M). One that writes more has failed."),
        .set(
            nil, "no-newline",
            { settings in settings.deliver("--no-newline") { $0.keepsOutput = true } },
            "Add no line feed to the output of a command that does not end in one."),
        .count(
            nil, "max-queue", "N",
            { settings, count in settings.deliver("--max-queue") { $0.maxQueue = count } },
            in: 1...1 << 20,
            "How many closed batches may wait for a command before no more input is read (as many"
                + " as --jobs)."),
        .duration(
            nil, "grace",
            { settings, time in settings.deliver("--grace") { $0.grace = time } },
            orZero: true,
            "How long commands may still run when a signal asks to stop (10s). What is not"
                + " delivered by then is a dead letter, spilled, or stays in the journal."),
    ]
}

private var failureOptions: [Option<BatchOptions>] {
    [
        .count(
            nil, "retries", "N",
            { settings, count in settings.deliver("--retries") { $0.retries = count } },
            in: 0...1 << 30,
            "How often a batch whose command failed is tried again (0)."),
        Option(
            nil, "backoff",
            "How long to wait before trying again (1s..60s): a random time up to MIN, then up to"
                + " twice as much each time, up to MAX.",
            argument: .required("MIN..MAX")
        ) { settings, value in
            let backoff = try Value.backoff(value ?? "")
            settings.deliver("--backoff") { $0.backoff = backoff }
        },
        Option(
            nil, "permanent",
            "Exit statuses, with commas between them, after which a batch is not tried again"
                + " (2,64,126,127: usage errors, and no such command).",
            argument: .required("CODE[,CODE...]")
        ) { settings, value in
            let codes = try exitCodes(value ?? "")
            settings.deliver("--permanent") { $0.permanent = codes }
        },
        .set(
            nil, "bisect", { settings in settings.deliver("--bisect") { $0.bisects = true } },
            "Split a batch that keeps failing into halves, until the lines that fail stand"
                + " alone."),
        .file(
            nil, "dead-letter",
            { settings, file in settings.deliver("--dead-letter") { $0.deadLetterFile = file } },
            "Append what cannot be delivered to FILE, as a JSON object with run, seq, key, count,"
                + " attempts, error, status, stderr and items, go on, and exit 1 at the end."
                + " Without it the first such batch stops the run, exit 69, and what was not"
                + " delivered is kept in a file that is named on standard error."),
        .file(
            nil, "redeliver",
            { settings, file in
                settings.deliver("--redeliver") {
                    $0.redelivered = Operand(option: file)
                }
                settings.note("--redeliver", needs: "--dead-letter")
            },
            "Deliver what is in the dead letters of FILE, as it was, instead of reading lines; -"
                + " is standard input. What fails again goes to --dead-letter, another file. See"
                + " DEAD LETTERS."),
        .string(
            nil, "spill-dir", "DIR",
            { settings, folder in settings.deliver("--spill-dir") { $0.spillFolder = folder } },
            completion: .file,
            "Where that file is made (/var/tmp)."),
        Option(
            nil, "breaker",
            "After so many failed attempts in a row, wait that long without starting a command or"
                + " reading more input; then try one batch, and go on once one succeeds. The"
                + " attempts meanwhile are none of --retries.",
            argument: .required("FAILURES:DURATION")
        ) { settings, value in
            let breaker = try breaker(value ?? "")
            settings.deliver("--breaker") { $0.breaker = breaker }
        },
    ]
}

private var journalOptions: [Option<BatchOptions>] {
    [
        .string(
            nil, "journal", "DIR",
            { settings, folder in settings.deliver("--journal") { $0.journalFolder = folder } },
            completion: .file,
            "Record lines in DIR until they are delivered. After a crash the same command first"
                + " delivers what was not, batches again with their BATCH_SEQ."),
        .set(
            nil, "resume",
            {
                $0.delivery.resumes = true
                $0.note("--resume", needs: "--journal")
            },
            "With --journal: read of files what was not read before, also when the run before came"
                + " to their end, and no last line that has no line feed yet: for logs that grow."
                + " A file is known by what is in it, also renamed or compressed, so give the"
                + " rotated one, too: log.1 log."),
        .set(
            nil, "journal-sync",
            {
                $0.delivery.syncsJournal = true
                $0.note("--journal-sync", needs: "--journal")
            },
            "With --journal: wait for the disk (fdatasync) before a batch is delivered, so that"
                + " a power failure loses nothing that was read before it."),
    ]
}

/// `CODE,CODE`, or nothing for none.
private func exitCodes(_ text: String) throws -> Set<Int32> {
    var codes: Set<Int32> = []
    for code in text.split(separator: ",", omittingEmptySubsequences: !text.isEmpty ? false : true)
    {
        codes.insert(Int32(try Value.count(String(code), in: 1...255)))
    }
    return codes
}

/// `FAILURES:DURATION`.
private func breaker(_ text: String) throws -> (failures: Int, duration: UInt64) {
    let parts = text.split(separator: ":", omittingEmptySubsequences: false)
    guard parts.count == 2 else {
        throw UsageError("expected FAILURES:DURATION, such as 5:30s, not '\(text)'")
    }
    let failures = try Value.count(String(parts[0]), in: 1...1_000_000)
    let duration = try Value.duration(String(parts[1]))
    guard duration >= 1_000_000 else { throw UsageError("expected a duration of at least 1ms") }
    return (failures, duration)
}

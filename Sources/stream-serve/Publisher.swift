import CLinux
import Glibc
import StreamCodec
import StreamTool

/// Reads the input, gives events their ids, and hands them to the workers.
func serve(_ run: inout Run<ServeOptions>) throws -> ExitStatus {
    var publisher = try Publisher(&run)
    try publisher.start(run.report)
    do {
        while !publisher.isOver { try publisher.turn(&run) }
    } catch {
        // What came before the bad line still reaches the clients. It is no proper end of the
        // stream, so that they come back when the server does.
        publisher.end(.signal)
        try publisher.finish(&run)
        throw error
    }
    try publisher.finish(&run)
    return .success
}

struct Publisher: ~Copyable {
    /// How often the counters of the workers are taken in, in nanoseconds.
    private static let countInterval: UInt64 = 1_000_000_000
    /// Bytes that may wait for who reads standard output.
    private static let maxOutput = 1 << 20

    private let settings: ServeOptions
    private let shared: Shared
    private let listeners: [Listener]
    private let room: Signal
    private var threads: [UInt64] = []
    private var packer: EventPacker
    private var lines: LineReader
    private var pending = ByteQueue(capacity: 512 << 10)
    private var batch = ByteQueue(capacity: 64 << 10)
    private var notify = Notify()
    /// An operand is open.
    private var isOpen = false
    private var isAtEnd = false
    private var isStarted = false
    private(set) var isOver = false
    /// Published messages that were written, for ids of their own without `--echo`.
    private var published = 0
    /// When the counters of the workers were last taken in.
    private var counted: UInt64 = 0

    init(_ run: inout Run<ServeOptions>) throws {
        settings = run.settings
        try settings.check()
        listeners = try Listener.all(settings.listen.isEmpty ? ["127.0.0.1:8080"] : settings.listen)
        for listener in listeners {
            clinux_tune_listener(
                listener.descriptor, Int32(settings.sendBuffer),
                UInt32(clamping: settings.sendTimeout / 1_000_000))
        }
        clinux_allow_descriptors(UInt64(settings.maxConnections + 1024))
        let room = Signal()
        self.room = room
        let count = settings.workers ?? max(1, Int(sysconf(Int32(_SC_NPROCESSORS_ONLN))))
        let epoch = Array(String(realtimeNanoseconds() / 1_000_000, radix: 36).utf8)
        shared = Shared(
            mailboxes: (0..<count).map { _ in Mailbox(room: room) }, inbox: Inbox(),
            board: Board(workers: count),
            admission: Admission(
                maxConnections: settings.maxConnections, maxPerAddress: settings.maxPerAddress,
                maxUploads: settings.uploads),
            allowance: SharedAllowance(settings.publishRateTotal, now: monotonicNanoseconds()),
            epoch: epoch)
        packer = EventPacker(settings, epoch: epoch)
        lines = LineReader(maxLine: settings.common.maxLine)
        run.output.beEager()
        if settings.publishes { run.output.watchReader() }
        // The process may take longer than other tools to end in order.
        clinux_set_grace(Int32(clamping: settings.drain / 1_000_000_000 + 5))
    }

    /// Starts the workers, and tells who asked where they listen.
    mutating func start(_ report: Report) throws {
        for number in shared.mailboxes.indices {
            let worker = try Worker(number: number, settings, shared, listeners)
            let context = Unmanaged.passRetained(worker).toOpaque()
            var thread: UInt64 = 0
            let code = clinux_start_thread(
                { Unmanaged<Worker>.fromOpaque($0!).takeRetainedValue().run() }, context, &thread)
            guard code == 0 else {
                throw Failure(.systemError, errno: code, "cannot start a thread")
            }
            threads.append(thread)
        }
        for listener in listeners {
            report.info("listening at \(listener.name), port \(listener.port)")
        }
        if let file = settings.portFile, let port = listeners.map(\.port).first(where: { $0 > 0 }) {
            try replaceFile(file, with: "\(port)\n")
        }
        notify?.ready()
    }

    // MARK: The loop

    /// Waits for something to publish, and hands it on.
    mutating func turn(_ run: inout Run<ServeOptions>) throws {
        try openNext(&run)
        if isStopped() { return end(.signal) }
        if isAtEnd && !settings.stays { return end(.input) }
        let arrival = try wait(&run)
        let now = monotonicNanoseconds()
        notify?.keepWatchdog(now)
        if now >= counted + Self.countInterval { count(run.report, now) }
        if arrival == .bytes || arrival == .end {
            defer { handOver(run.report) }
            try readLines(&run, atEnd: arrival == .end, now)
            if arrival == .end { isOpen = false }
        }
        takePublished(&run, now)
        _ = try run.output.writeAvailable()
    }

    private mutating func openNext(_ run: inout Run<ServeOptions>) throws {
        guard !isOpen && !isAtEnd else { return }
        if try run.input.open() {
            isOpen = true
            lines = LineReader(maxLine: settings.common.maxLine)
            pending.removeAll()
            if !isStarted { shared.board.setReady(true) }
            isStarted = true
        } else {
            isAtEnd = true
        }
    }

    private mutating func wait(_ run: inout Run<ServeOptions>) throws -> Input.Arrival {
        let isFull = isFull()
        var watched = watched(run.output, isFull: isFull)
        let deadline = min(notify?.watchdogDeadline ?? .max, counted + Self.countInterval)
        if isOpen && !isFull {
            run.input.watched = watched
            let arrival = try run.input.read(into: &pending, deadline: deadline)
            // A worker may have answered a question that was no longer one.
            if run.input.watched[0].revents != 0 { room.clear() }
            return arrival
        }
        try run.report.wait(for: &watched, until: deadline)
        room.clear()
        return .timeout
    }

    /// A worker has as much as it may: events wait until it has taken them.
    private func isFull() -> Bool {
        // Each of them is asked, for each must know that it is waited for.
        shared.mailboxes.reduce(false) { $1.isFull() || $0 }
    }

    /// A reader that is slow must not make anything grow: what clients publish waits for who reads
    /// standard output and, when it becomes events, for the workers. Publishers are told when much
    /// waits.
    private func mayTakePublished(_ output: borrowing Output, isFull: Bool) -> Bool {
        output.waiting <= Self.maxOutput && !(settings.echoes && isFull)
    }

    /// What to wait for besides the input; first of all, room.
    private func watched(_ output: borrowing Output, isFull: Bool) -> [pollfd] {
        var watched = [pollfd(fd: room.descriptor, events: Int16(POLLIN), revents: 0)]
        if mayTakePublished(output, isFull: isFull) {
            let inbox = shared.inbox.signal.descriptor
            watched.append(pollfd(fd: inbox, events: Int16(POLLIN), revents: 0))
        }
        if output.waiting > 0, let readiness = output.readiness { watched.append(readiness) }
        return watched
    }

    private mutating func readLines(
        _ run: inout Run<ServeOptions>, atEnd: Bool, _ now: UInt64
    ) throws {
        while true {
            switch lines.next(&pending, atEnd: atEnd) {
            case .line(let range):
                let line = pending.bytes(range)
                if settings.form != .text && line.isBlank { continue }
                run.report.recordsIn += 1
                do throws(RecordError) {
                    try packer.append(line, arrival: now, to: &batch)
                } catch {
                    let place = Place(run.input.name, line: lines.number, byte: error.offset + 1)
                    try run.report.reject(place, error.description, raw: line)
                }
                if batch.count >= Mailbox.full { handOver(run.report) }
            case .tooLong(let range):
                run.report.recordsIn += 1
                try run.report.reject(
                    Place(run.input.name, line: lines.number),
                    "line longer than \(range.count) bytes (see --max-line)",
                    raw: pending.bytes(range))
            case .more: return
            }
        }
    }

    private mutating func handOver(_ report: Report) {
        shared.board.post(eventsIn: Int(packer.sequence - 1), report.common)
        if batch.isEmpty { return }
        shared.posting.lock()
        for mailbox in shared.mailboxes { mailbox.post(batch.bytes) }
        shared.posting.unlock()
        batch.removeAll()
    }

    // MARK: What clients publish

    /// Writes what clients published, and with `--echo` makes events of it.
    private mutating func takePublished(_ run: inout Run<ServeOptions>, _ now: UInt64) {
        guard mayTakePublished(run.output, isFull: isFull()) else { return }
        for item in shared.inbox.take() {
            var ids: [String] = []
            for message in item.messages {
                append(message, item.sender, to: &run.output.buffer)
                run.report.recordsOut += 1
                published += 1
                let epoch = String(decoding: shared.epoch, as: UTF8.self)
                let id =
                    settings.echoes
                    ? packer.append(message, arrival: now, to: &batch) : "\(epoch)-p\(published)"
                ids.append("\"\(id)\"")
            }
            handOver(run.report)
            let receipt = Receipt(
                sender: item.sender, ids: ids.joined(separator: ","), count: ids.count)
            shared.mailboxes[item.sender.worker].post(.published(receipt))
        }
    }

    private func append(
        _ message: Inbox.Message, _ sender: Sender, to buffer: inout ByteQueue
    ) {
        buffer.append("{")
        if !message.event.isEmpty {
            buffer.append("\"event\":\"")
            buffer.append(message.event)
            buffer.append("\",")
        }
        if !message.channel.isEmpty {
            buffer.append("\"channel\":\"")
            buffer.append(message.channel)
            buffer.append("\",")
        }
        buffer.append(string: "\"client\":\"\(sender.number)\",\"data\":")
        buffer.append(message.data)
        buffer.append("}\n")
    }

    // MARK: The end

    /// Tells the workers that nothing more comes. Once is enough.
    mutating func end(_ ending: Ending) {
        if isOver { return }
        isOver = true
        shared.board.setReady(false)
        notify?.stopping()
        for mailbox in shared.mailboxes { mailbox.post(.end(ending)) }
    }

    /// Waits until the clients have what is theirs, `--drain` at the most, and answers those who
    /// still publish.
    mutating func finish(_ run: inout Run<ServeOptions>) throws {
        while shared.board.running() > 0 {
            var watched = watched(run.output, isFull: isFull())
            let now = monotonicNanoseconds()
            try run.report.wait(for: &watched, until: now + 100_000_000)
            room.clear()
            notify?.keepWatchdog(now)
            takePublished(&run, now)
            _ = try run.output.writeAvailable()
        }
        for thread in threads { clinux_join_thread(thread) }
        for listener in listeners { listener.stop() }
        count(run.report, monotonicNanoseconds())
        run.report.isComplete = true
    }

    /// Takes in the counters of the workers, for --stats and --metrics-file.
    private mutating func count(_ report: Report, _ now: UInt64) {
        counted = now
        shared.board.post(eventsIn: Int(packer.sequence - 1), report.common)
        for (name, value) in shared.board.values(uploadBytes: shared.admission.held()) {
            report.set(value, as: name)
        }
    }
}

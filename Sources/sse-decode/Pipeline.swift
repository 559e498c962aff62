import StreamCodec
import StreamTool

/// What happens to an event between the decoder and the output: the end marker, the selection,
/// and the stages that hold events back.
struct Pipeline: ~Copyable {
    /// Ids are noted, so that a stream can be resumed.
    var notesIDs = false
    /// The current input's end marker came.
    private(set) var sawEnd = false
    /// Nothing more is to be written.
    private(set) var isDone: Bool
    /// What diagnostics, and the lines where that is asked for, call the current input.
    private(set) var inputName = "-"
    /// How the elements of an answer to a poll are understood; nil while nothing is polled.
    var polled: PolledEvents?
    /// Where the next run may go on, the oldest first: all up to such an event was taken, and
    /// nothing held back. Those whose output was written are taken, so that there are few.
    private var marks: [Mark] = []

    private let settings: DecodeOptions
    private let until: [[UInt8]]
    private let untilEvent: [[UInt8]]
    private let included: [[UInt8]]
    private let excluded: [[UInt8]]
    private var signs: ErrorSigns
    private var recent: RecentKeys
    private var joiner: ChunkJoiner?
    private var reorderer: Reorderer<Event>
    private var orderKey = ByteQueue(capacity: 64)
    /// Events that are still wanted.
    var left: Int { didSet { isDone = left == 0 } }
    private var lines: EventLines
    /// The id of the last event, when it had one, and how many events behind it had none.
    private(set) var lastID: [UInt8]?
    private var behindLastID = 0
    /// What `lastID` was before the last event, and before the chunks of incomplete messages.
    private var previousID: [UInt8]?
    private var idBeforeChunks: [UInt8]?
    /// The id of the last event that was not selected, while none was.
    private var passedID: [UInt8]?
    /// An event said that the stream failed: which, and what.
    private var streamError: String?
    // Counted here and told once a batch: the report is a class, and each access to a class
    // checks for exclusivity.
    private var recordsIn = 0
    private var recordsOut = 0

    private static let message = [UInt8]("message".utf8)

    init(_ settings: DecodeOptions) throws {
        try Self.check(settings)
        signs = try ErrorSigns(maxDepth: settings.common.maxDepth)
        self.settings = settings
        lines = EventLines(settings)
        until = settings.until.map { [UInt8]($0.utf8) }
        untilEvent = settings.untilEvent.map { [UInt8]($0.utf8) }
        let names = settings.events.map { [UInt8]($0.utf8) }
        included = names.filter { $0.first != UInt8(ascii: "!") }
        excluded = names.filter { $0.first == UInt8(ascii: "!") }.map { Array($0.dropFirst()) }
        recent = RecentKeys(limit: settings.dedup ?? 1)
        let common = settings.common
        joiner = settings.joinChunks.map {
            ChunkJoiner(
                limit: $0, maxSize: common.maxLine, maxDepth: common.maxDepth,
                maxWait: settings.joinWait)
        }
        reorderer = Reorderer(
            window: settings.window, maxWait: settings.maxWait ?? 0, maxKeys: settings.byKeys,
            dropsLate: settings.late == .drop)
        left = settings.count ?? .max
        isDone = left == 0
    }

    /// The stream is asked for behind this event, which it may bring again.
    mutating func resume(behind id: [UInt8]) {
        lastID = id
        if settings.dedup != nil && !id.isEmpty {
            _ = id.withUnsafeBufferPointer { recent.insert($0) }
        }
    }

    private static func check(_ settings: DecodeOptions) throws {
        if settings.requiresEnd && settings.until.isEmpty && settings.untilEvent.isEmpty {
            throw UsageError("--require-end needs --until or --until-event to know the end by")
        }
        let needs = [
            ("by", "reorder"), ("window", "reorder"), ("max-wait", "reorder"),
            ("late", "reorder"), ("by-keys", "by"),
            ("join-wait", "join-chunks"),
        ]
        for (option, other) in needs
        where settings.common.given.contains(option) && !settings.common.given.contains(other) {
            throw UsageError("--\(option) needs --\(other)")
        }
        if settings.get != nil && settings.form != .text && settings.form != .data {
            throw UsageError("--get needs --text or --data")
        }
        if settings.tagsSource && settings.form == .text {
            throw UsageError("--tag-source needs lines of JSON, not --text")
        }
        if settings.all && settings.form != .records && settings.form != .json {
            throw UsageError("--all needs --records or --json")
        }
    }

    /// What to ask for the stream behind: half a message comes again from its beginning.
    var resumeID: [UInt8]? { joiner?.isEmpty == false ? idBeforeChunks : lastID }

    /// An answer begins. What is incomplete came over another connection.
    mutating func beginConnection(_ run: borrowing Run<DecodeOptions>) {
        let count = joiner?.restart() ?? 0
        if count > 0 {
            run.report.warn("\(inputName): \(count) incomplete messages begin anew")
        }
    }

    /// An input begins.
    mutating func beginInput(_ name: String) {
        inputName = name
        sawEnd = false
        streamError = nil
        lines.beginInput(name)
    }

    /// Takes an event as it was decoded.
    @inline(__always)
    mutating func take(
        _ fields: EventFields, _ data: UnsafeBufferPointer<UInt8>, _ line: Int,
        _ run: inout Run<DecodeOptions>
    ) throws {
        recordsIn += 1
        if notesIDs { noteID(fields, run.output) }
        if !until.isEmpty || !untilEvent.isEmpty, isEnd(fields, data) {
            sawEnd = true
            return
        }
        if settings.failsOnError || settings.requiresEnd {
            if let error = signs.error(type: fields.type, data) {
                streamError = "\(inputName):\(line): the stream reports an error: \(error)"
            }
        }
        if !settings.events.isEmpty {
            try select(fields, data, line, &run)
        } else if settings.dedup == nil && joiner == nil && settings.reorder == nil {
            write(fields, data, &run)
        } else {
            try hold(fields, data, line, &run)
        }
        if let streamError, settings.failsOnError {
            releaseAll(&run)
            throw Failure(.protocolError, streamError)
        }
    }

    /// Passes an event on if its type is wanted. The id of one that is not is the last event id
    /// of the next that is (HTML 9.2.6), and its record says so.
    private mutating func select(
        _ fields: EventFields, _ data: UnsafeBufferPointer<UInt8>, _ line: Int,
        _ run: inout Run<DecodeOptions>
    ) throws {
        guard isSelected(fields) else {
            run.report.dropped += 1
            passedID = fields.id ?? passedID
            return
        }
        var fields = fields
        fields.id = fields.id ?? passedID
        passedID = nil
        try hold(fields, data, line, &run)
    }

    private func isEnd(_ fields: EventFields, _ data: UnsafeBufferPointer<UInt8>) -> Bool {
        until.contains { data.isEqual(to: $0) }
            || untilEvent.contains(fields.type.isEmpty ? Self.message : fields.type)
    }

    private func isSelected(_ fields: EventFields) -> Bool {
        let type = fields.type.isEmpty ? Self.message : fields.type
        return (included.isEmpty || included.contains(type)) && !excluded.contains(type)
    }

    /// Where the value stands, or nil when there is none or the data is no JSON.
    private func find(_ path: JSONPath, _ data: UnsafeBufferPointer<UInt8>) -> Range<Int>? {
        do throws(JSONError) {
            return try path.find(in: data, maxDepth: settings.common.maxDepth)
        } catch {
            return nil
        }
    }

    /// Adds what was counted to the report.
    mutating func count(in report: Report) {
        report.recordsIn += recordsIn
        report.recordsOut += recordsOut
        recordsIn = 0
        recordsOut = 0
    }

    // MARK: Stages

    private mutating func hold(
        _ fields: EventFields, _ data: UnsafeBufferPointer<UInt8>, _ line: Int,
        _ run: inout Run<DecodeOptions>
    ) throws {
        if settings.dedup != nil, let id = fields.id, !id.isEmpty,
            !id.withUnsafeBufferPointer({ recent.insert($0) })
        {
            run.report.add(to: "duplicates")
            run.report.dropped += 1
            return
        }
        let isWhole = joiner?.isEmpty == true
        let now = joiner == nil ? 0 : monotonicNanoseconds()
        switch joiner?.take(fields, data, line: line, now: now) ?? .plain {
        case .plain:
            try order(fields, data, line, &run)
        case .incomplete:
            if isWhole { idBeforeChunks = previousID }
        case .complete(let event):
            run.report.add(to: "messages_joined")
            try event.data.withUnsafeBufferPointer { data in
                try order(event.fields, data, event.line, &run)
            }
        case .invalid(let reason):
            try run.report.reject(Place(inputName, line: line), reason, raw: data)
        }
        try rejectAbandoned(atEnd: false, now: now, &run)
    }

    private mutating func order(
        _ fields: EventFields, _ data: UnsafeBufferPointer<UInt8>, _ line: Int,
        _ run: inout Run<DecodeOptions>
    ) throws {
        guard let path = settings.reorder, let value = find(path, data),
            let number = Int(String(decoding: data.slice(value), as: UTF8.self))
        else {
            write(fields, data, &run)
            return
        }
        let now = monotonicNanoseconds()
        let event = Event(fields: fields, data: Array(data), line: line)
        let place = Place(inputName, line: line)
        orderKey.removeAll()
        if let path = settings.by {
            if let value = find(path, data) {
                orderKey.append(key: data.slice(value))
            } else {
                orderKey.append("null")
            }
        }
        let arrival = reorderer.hold(event, number: number, key: orderKey.bytes, now: now)
        if case .restart(let first) = arrival { run.report.tell(restartAt: first, at: place) }
        if reorderer.evictions > 0 { run.report.set(reorderer.evictions, as: "forgotten_orders") }
        release(&run, now: now)
    }

    /// Writes what need not wait.
    private mutating func release(
        _ run: inout Run<DecodeOptions>, now: UInt64, atEnd: Bool = false
    ) {
        while !isDone, let next = reorderer.next(now: now, atEnd: atEnd) {
            let place = Place(inputName, line: next.item.line)
            if let gap = next.gap { run.report.tell(missing: gap, at: place) }
            if next.isLate {
                run.report.tell(late: next.number, at: place)
                run.report.add(to: "late")
                if settings.late == .drop {
                    run.report.dropped += 1
                    continue
                }
            }
            next.item.data.withUnsafeBufferPointer { write(next.item.fields, $0, &run) }
        }
    }

    /// Writes all that is held back, behind a failure, too.
    mutating func releaseAll(_ run: inout Run<DecodeOptions>) {
        release(&run, now: 0, atEnd: true)
    }

    private mutating func rejectAbandoned(
        atEnd: Bool, now: UInt64 = 0, _ run: inout Run<DecodeOptions>
    ) throws {
        for event in joiner?.takeAbandoned(atEnd: atEnd, now: now) ?? [] {
            try event.data.withUnsafeBufferPointer { raw in
                try run.report.reject(
                    Place(inputName, line: event.line), "chunks of a message are missing",
                    raw: raw)
            }
        }
    }

    /// When `expire` is due.
    var deadline: UInt64? {
        guard let joined = joiner?.deadline else { return reorderer.deadline }
        return min(joined, reorderer.deadline ?? .max)
    }

    /// What was held long enough goes.
    mutating func expire(_ run: inout Run<DecodeOptions>) throws {
        let now = monotonicNanoseconds()
        try rejectAbandoned(atEnd: false, now: now, &run)
        release(&run, now: now)
        noteEnd(nil, run.output)
    }

    /// The server tells an id with the event that has it, so that the place to go on at is before
    /// the first event behind it that has none.
    private mutating func noteID(_ fields: EventFields, _ output: borrowing Output) {
        let position = output.position
        // The event may be the first one that is held back.
        let isDue =
            fields.id == nil || settings.reorder != nil || joiner != nil
            || position >= (marks.last?.position ?? 0) + Self.markInterval
        if behindLastID == 0 && isDue { setMark(position) }
        previousID = lastID
        if let id = fields.id {
            lastID = id
            behindLastID = 0
        } else {
            behindLastID += 1
        }
    }

    /// Bytes of output between two marks of one read.
    private static let markInterval = 4 << 10

    /// What was taken may be gone on behind, unless events without an id came last, or some are
    /// held back. `id` is the stream's last one.
    mutating func noteEnd(_ id: [UInt8]?, _ output: borrowing Output) {
        if let id, id != lastID {
            lastID = id
            behindLastID = 0
        }
        if hasPlace { setMark(output.position) }
    }

    /// What came last has an id, or nothing has: then a new run cannot have any of it again.
    private var hasPlace: Bool { behindLastID == 0 || lastID == nil }

    private mutating func setMark(_ position: Int) {
        guard !isHolding, settings.follow.stateFile != nil else { return }
        if marks.last?.position == position { marks.removeLast() }
        marks.append(Mark(id: lastID, position: position))
    }

    /// The last place to go on at up to which all was written; `written` bytes were.
    mutating func takeMark(written: Int) -> Mark? {
        let count = marks.firstIndex { $0.position > written } ?? marks.count
        guard count > 0 else { return nil }
        defer { marks.removeFirst(count) }
        return marks[count - 1]
    }

    /// The last event was taken, and its place is a place to go on at.
    var isAtID: Bool { hasPlace && !isHolding }

    /// Events wait for those before them, or half messages for the rest.
    var isHolding: Bool { reorderer.deadline != nil || joiner?.isEmpty == false }

    /// The end of an input.
    mutating func endInput(_ run: inout Run<DecodeOptions>) throws {
        passedID = nil
        if settings.requiresEnd && !sawEnd && !isDone && !isStopped() {
            releaseAll(&run)
            throw Failure(
                .protocolError,
                streamError ?? "\(inputName): the stream was cut off: its end did not come")
        }
        sawEnd = false
    }

    /// Nothing more comes: nothing is waited for.
    mutating func flush(_ run: inout Run<DecodeOptions>) throws {
        releaseAll(&run)
        // Chunks that are missing because the tool was told to stop are nobody's fault.
        if !isDone && !isStopped() { try rejectAbandoned(atEnd: true, &run) }
    }

    // MARK: Writing

    @inline(__always)
    private mutating func write(
        _ fields: EventFields, _ data: UnsafeBufferPointer<UInt8>, _ run: inout Run<DecodeOptions>
    ) {
        guard lines.append(fields, data, to: &run.output.buffer) else { return }
        recordsOut += 1
        left -= 1
    }

    /// A record of comments and a retry, where no event was dispatched.
    func write(note fields: EventFields, _ run: inout Run<DecodeOptions>) {
        lines.append(note: fields, to: &run.output.buffer)
    }
}

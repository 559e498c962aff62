import CLinux
import Glibc
import StreamClient
import StreamCodec
import StreamTool

/// Streams from URLs, all at once, with files beside them one after the other; lines out.
func follow(_ run: inout Run<DecodeOptions>) throws -> ExitStatus {
    var follower = try Follower(&run)
    do {
        while !follower.isOver { try follower.turn(&run) }
        return try follower.finish(&run)
    } catch {
        try follower.abandon(&run)
        throw error
    }
}

struct Follower {
    private let settings: DecodeOptions
    private let sources: [Source]
    private var files: FileSource?
    private var checkpoint: Checkpoint?
    private var notify: Notify?
    private let end: UInt64?
    /// Events that are still wanted.
    private var left: Int
    private var isLeaving = false
    /// With --exactly-once and several sources: the place of each, which they seldom have in
    /// common.
    private var lastIDs: [Int: [UInt8]?] = [:]
    /// --max-time ended it.
    private var isLate = false

    init(_ run: inout Run<DecodeOptions>) throws {
        settings = run.settings
        let plan = try settings.plan(run.operands)
        let state = try settings.follow.stateFile.map {
            try StateFile($0, maxDepth: run.settings.common.maxDepth)
        }
        if let file = settings.outputFile {
            try run.output.append(to: file, alone: settings.follow.isExactlyOnce)
        }
        if settings.connect.isInsecure {
            run.report.warn("--insecure: the peer's certificate is not verified")
        }
        sources = try plan.streams.map {
            try Source(run.settings, name: $0.name, stream: $0.stream, poll: $0.poll)
        }
        if let state {
            let keys = try settings.keys(of: plan.streams)
            checkpoint = try Checkpoint(state, settings, keys, run.report)
        }
        for (index, source) in sources.enumerated() {
            let kept = checkpoint?.id(of: index)
            let given = settings.follow.lastEventID.map { [UInt8]($0.utf8) }
            if let id = kept ?? given { source.pipeline.resume(behind: id) }
        }
        run.output.watchReader()
        run.read(plan.files)
        files = plan.files.isEmpty ? nil : try FileSource(settings, &run)
        notify = settings.follow.notifies ? Notify() : nil
        end = settings.follow.maxTime.map { monotonicNanoseconds() + $0 }
        left = settings.count ?? .max
    }

    var isOver: Bool {
        isLeaving || left == 0 || (files == nil && sources.allSatisfy(\.isOver))
    }

    /// Waits, and does what can be done.
    mutating func turn(_ run: inout Run<DecodeOptions>) throws {
        try wait(&run)
        for source in sources where left > 0 {
            source.pipeline.left = left
            try source.advance(&run, hasRoom: run.hasRoom)
            left = source.pipeline.left
        }
        _ = try run.output.writeAvailable()
        try keepPlace(run.output)
        keepTime(run)
    }

    // MARK: Waiting

    private mutating func wait(_ run: inout Run<DecodeOptions>) throws {
        var descriptors: [pollfd] = []
        var deadline = [end, checkpoint?.deadline, notify?.watchdogDeadline].compactMap { $0 }.min()
        let hasRoom = run.hasRoom
        if let time = files?.pipeline.deadline { deadline = min(deadline ?? .max, time) }
        for source in sources {
            let wanted = source.wanted(hasRoom: hasRoom)
            descriptors += wanted.descriptors
            if let time = wanted.deadline { deadline = min(deadline ?? .max, time) }
        }
        if run.output.waiting > 0, let readiness = run.output.readiness {
            descriptors.append(readiness)
        }
        guard hasRoom, files != nil else {
            try run.report.wait(for: &descriptors, until: deadline)
            return
        }
        run.input.watched = descriptors
        files?.pipeline.left = left
        let isMore = try files?.read(&run, until: deadline)
        left = files?.pipeline.left ?? left
        if isMore == false { files = nil }
    }

    /// What is due by the clock, and what a signal asks for.
    private mutating func keepTime(_ run: borrowing Run<DecodeOptions>) {
        let now = monotonicNanoseconds()
        if let end, now >= end {
            run.report.info("--max-time is over")
            isLeaving = true
            isLate = true
        }
        if isStopped() { isLeaving = true }
        if sources.contains(where: \.isOpen) { notify?.ready() }
        notify?.keepWatchdog(now)
    }

    // MARK: The place to go on at

    /// Keeps the ids of what was written.
    fileprivate mutating func keepPlace(
        _ output: borrowing Output, force: Bool = false, atEnd: Bool = false
    ) throws {
        guard checkpoint != nil else { return }
        let written = output.isCompressed ? (output.waiting == 0 ? Int.max : 0) : output.written
        if settings.follow.isExactlyOnce && sources.count > 1 {
            try keepCommonPlace(written, output)
        } else {
            for (index, source) in sources.enumerated() {
                if let mark = source.pipeline.takeMark(written: written) {
                    checkpoint?.take(mark, of: index)
                }
            }
        }
        if atEnd { try end(written) }
        try checkpoint?.save(force: force || atEnd)
    }

    /// The run ends in order: what events without an id wrote stays, for they may not come again.
    private mutating func end(_ written: Int) throws {
        let isWhole = !sources.contains { $0.pipeline.isHolding }
        if isWhole {
            for (index, id) in lastIDs {
                checkpoint?.take(Mark(id: id, position: written), of: index)
            }
        }
        try checkpoint?.end(at: isWhole ? written : nil)
    }

    /// One length of the output stands for several sources only while each of them is at an id.
    private mutating func keepCommonPlace(_ written: Int, _ output: borrowing Output) throws {
        // These have no length in common.
        for (index, source) in sources.enumerated() {
            if let mark = source.pipeline.takeMark(written: written) { lastIDs[index] = mark.id }
        }
        guard written == output.position, sources.allSatisfy({ $0.pipeline.isAtID }) else { return }
        for (index, source) in sources.enumerated() {
            checkpoint?.take(Mark(id: source.pipeline.lastID, position: written), of: index)
        }
    }

    // MARK: The end

    mutating func finish(_ run: inout Run<DecodeOptions>) throws -> ExitStatus {
        notify?.stopping()
        for source in sources {
            try source.stop(left: left, isLate: isLate, &run)
            left = source.pipeline.left
        }
        try files?.pipeline.flush(&run)
        try drain(&run)
        try keepPlace(run.output, atEnd: true)
        // A follower that is told to stop has done its work.
        if isStopped() { run.report.isComplete = run.output.waiting == 0 }
        return sources.lazy.compactMap(\.failure).first?.status ?? .success
    }

    /// What came before a failure is written, also what was held back, and is not asked for again.
    mutating func abandon(_ run: inout Run<DecodeOptions>) throws {
        for source in sources { source.release(&run) }
        files?.pipeline.releaseAll(&run)
        // A full disk is why we are here, perhaps: the place is that of what was written.
        _ = try? run.output.writeAvailable()
        try keepPlace(run.output, force: true)
    }

    /// Standard output takes what is left; once a signal asked to stop, within 5 s.
    private mutating func drain(_ run: inout Run<DecodeOptions>) throws {
        var limit: UInt64?
        while try !run.output.writeAvailable() {
            if isStopped() { limit = limit ?? monotonicNanoseconds() + 5_000_000_000 }
            if let limit, monotonicNanoseconds() >= limit {
                throw Failure(.inputOutput, "standard output: its reader does not take it")
            }
            var descriptors = run.output.readiness.map { [$0] } ?? []
            let pause = monotonicNanoseconds() + 100_000_000
            try run.report.wait(for: &descriptors, until: min(limit ?? .max, pause))
        }
    }
}

/// Files beside the URLs, one after the other.
final class FileSource {
    private let settings: DecodeOptions
    private var reader: EventReader
    var pipeline: Pipeline
    private var queue = ByteQueue(capacity: 512 << 10)
    private var isOpen = false

    init(_ settings: DecodeOptions, _ run: inout Run<DecodeOptions>) throws {
        self.settings = settings
        reader = try EventReader(settings, settings.input)
        pipeline = try Pipeline(settings)
    }

    /// Reads on when there is something to read. False at the end of the last file.
    func read(_ run: inout Run<DecodeOptions>, until deadline: UInt64?) throws -> Bool {
        if !isOpen {
            guard try run.input.open() else {
                try pipeline.flush(&run)
                return false
            }
            isOpen = true
            reader = try EventReader(settings, settings.input)
            pipeline.beginInput(run.input.name)
            queue.removeAll()
        }
        let received = queue.count
        switch try run.input.read(into: &queue, deadline: deadline) {
        case .bytes: isOpen = try reader.read(&queue, from: received, &pipeline, &run)
        case .end:
            try reader.finish(&queue, &pipeline, &run)
            isOpen = false
        case .timeout: try pipeline.expire(&run)
        case .request, .stopped: break
        }
        if pipeline.isDone || pipeline.sawEnd { isOpen = false }
        if !isOpen { try pipeline.endInput(&run) }
        pipeline.count(in: run.report)
        return true
    }
}

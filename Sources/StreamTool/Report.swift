import CLinux
import Glibc
import StreamCodec

/// What a tool says of its work: diagnostics, rejected lines, and counters.
///
/// A class, because the input, the output and the tool's loop all add to the same one.
package final class Report {
    package enum Level: String {
        case error, warning, info

        /// A priority as sd-daemon(3) has it.
        fileprivate var journalPrefix: String {
            switch self {
            case .error: "<3>"
            case .warning: "<4>"
            case .info: "<6>"
            }
        }
    }

    package let tool: String
    let options: CommonOptions
    package let started = clinux_monotonic_nanoseconds()

    // Counters that every tool has.
    package var inputBytes = 0
    package var outputBytes = 0
    package var recordsIn = 0
    package var recordsOut = 0
    package internal(set) var rejected = 0
    /// Records that were read and, by an option or a rule, are not written.
    package var dropped = 0
    /// The tool's table; the counters above are put in when it is shown.
    private var metrics: Metrics
    private let hasOwnDrops: Bool

    var rejects: RejectsFile?
    private let isTerminal: Bool
    private let isJournal: Bool
    private var showsProgress: Bool
    private var progressIsShown = false

    package init(tool: String, options: CommonOptions, metrics: [Metric] = []) {
        self.tool = tool
        self.options = options
        self.metrics = Metrics(metrics)
        hasOwnDrops = metrics.contains { $0.name == "dropped" }
        let isTerminal = isatty(2) == 1
        self.isTerminal = isTerminal
        isJournal = Report.isJournal(descriptor: 2)
        showsProgress =
            options.progress ?? (isTerminal && !options.isQuiet && Report.isOutOfSight(1))
    }

    /// Nothing of what goes there comes to a terminal: a pipe may lead to one.
    private static func isOutOfSight(_ descriptor: Int32) -> Bool {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { return false }
        let kind = status.st_mode & S_IFMT
        return kind == S_IFREG || kind == S_IFCHR && isatty(descriptor) == 0
    }

    /// Opens what options name, before anything is read.
    func open() throws {
        rejects = try options.rejectsFile.map { try RejectsFile(path: $0) }
        try writeMetrics()
    }

    /// All is done, on the record: a signal to stop that comes now comes too late to say otherwise.
    package var isComplete = false

    /// Waiting for somebody else also shows when the reader of standard output leaves.
    var watchesReader = false

    /// Nanoseconds that output may still take once a signal asked to stop; nil: as it likes.
    package var outputGrace: UInt64?
    var stopLimit: UInt64?
    var hurriedLimit: UInt64?

    /// Something that was accepted did not come to where it should go.
    package var gaveUp = false

    /// True when some input was rejected or given up, so that the exit status is 1.
    package var isPartial: Bool { rejected > 0 || gaveUp }

    /// There is an option `--text` for lines that are no JSON.
    package var takesText = false

    // MARK: Diagnostics

    package func info(_ message: String) {
        if options.isVerbose { say(.info, message) }
    }

    package func warn(_ message: String, at place: Place? = nil) {
        say(.warning, message, at: place)
    }

    package func error(_ message: String, at place: Place? = nil) {
        say(.error, message, at: place)
    }

    func say(_ level: Level, _ message: String, at place: Place? = nil) {
        if level == .warning && options.isQuiet { return }
        var line = ByteQueue()
        if progressIsShown {
            line.append("\r\u{1B}[K")
            progressIsShown = false
        }
        switch options.logFormat {
        case .json:
            appendJSON(level, message, place, to: &line)
        case .text:
            if isJournal { line.append(string: level.journalPrefix) }
            let isColoured = isTerminal && getenv("NO_COLOR").map { $0.pointee == 0 } ?? true
            let name = isColoured ? "\u{1B}[1m\(tool):\u{1B}[0m " : "\(tool): "
            line.append(string: name + printable((place.map { "\($0): " } ?? "") + message) + "\n")
        }
        write(&line, to: 2)
    }

    private func appendJSON(
        _ level: Level, _ message: String, _ place: Place?, to line: inout ByteQueue
    ) {
        line.append("{\"time\":")
        line.append(quoting: timestamp())
        line.append(",\"level\":")
        line.append(quoting: level.rawValue)
        line.append(",\"tool\":")
        line.append(quoting: tool)
        if let place {
            line.append(",\"input\":")
            line.append(quoting: place.input)
            line.append(string: ",\"line\":\(place.line)")
            if let byte = place.byte { line.append(string: ",\"byte\":\(byte)") }
        }
        line.append(",\"message\":")
        line.append(quoting: message)
        line.append("}\n")
    }

    /// JOURNAL_STREAM names the device and inode of the journal's socket (systemd.exec(5)).
    private static func isJournal(descriptor: Int32) -> Bool {
        guard let value = getenv("JOURNAL_STREAM") else { return false }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { return false }
        return String(cString: value) == "\(status.st_dev):\(status.st_ino)"
    }

    /// Takes what would go to standard error, for a tool that draws on the same terminal.
    package var diversion: ((UnsafeBufferPointer<UInt8>) -> Void)? {
        didSet { if diversion != nil { showsProgress = false } }
    }

    /// Diagnostics go out as well as they can: there is nobody to tell when they cannot.
    func write(_ line: inout ByteQueue, to descriptor: Int32) {
        if let diversion { return diversion(line.bytes) }
        var tries = 0
        while !line.isEmpty {
            let written = Glibc.write(descriptor, line.bytes.baseAddress, line.count)
            if written > 0 {
                line.consume(written)
                continue
            }
            switch errno {
            case EINTR: break
            case EAGAIN where tries < 5:
                tries += 1
                var ready = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                _ = poll(&ready, 1, 1000)
            default: return
            }
        }
    }

    // MARK: Counters

    package var elapsedSeconds: Double {
        Double(clinux_monotonic_nanoseconds() - started) / 1e9
    }

    /// Adds to a counter of the tool's table.
    package func add(_ count: Int = 1, to name: String) { metrics.add(count, to: name) }

    /// Sets a counter that is kept elsewhere.
    package func set(_ count: Int, as name: String) { metrics.set(.counts([count]), as: name) }

    /// Sets what is kept elsewhere.
    package func set(_ value: Metric.Value, as name: String) { metrics.set(value, as: name) }

    /// Sets a number that goes up and down.
    package func setGauge(_ value: Double, as name: String) {
        metrics.set(.number(value), as: name)
    }

    /// Adds a time to a histogram.
    package func observe(_ seconds: Double, as name: String) {
        metrics.observe(seconds, as: name)
    }

    /// The counters that every tool has, as they are now.
    package var common: [(name: String, value: Metric.Value)] {
        let counts = [
            ("input_bytes", inputBytes), ("output_bytes", outputBytes),
            ("records_in", recordsIn), ("records_out", recordsOut), ("rejected", rejected),
        ]
        // A tool that says why has a row of its own.
        return (counts + (hasOwnDrops ? [] : [("dropped", dropped)])).map { ($0, .counts([$1])) }
    }

    /// All there is, as it is now.
    private var shown: Metrics {
        var shown = metrics
        for (name, value) in common { shown.set(value, as: name) }
        return shown
    }

    private var statsLine: String {
        var line = "{\"tool\":\"\(tool)\",\"version\":\"\(suiteVersion)\""
        line += ",\"elapsed_seconds\":\(decimal(elapsedSeconds, places: 6))"
        for (name, value) in shown.members { line += ",\"\(name)\":\(value)" }
        return line + "}\n"
    }

    /// The counters now, to standard error: what SIGUSR1 asks for.
    package func writeStatsNow() {
        var line = ByteQueue()
        line.append(string: statsLine)
        write(&line, to: 2)
    }

    /// SIGUSR1 asked for the counters.
    func serveRequest() {
        if clinux_take_report_request() == 0 { return }
        writeStatsNow()
        wasRequested = true
    }

    private var wasRequested = false

    /// True once after a request was served: a tool may have more to show.
    func takeRequest() -> Bool {
        defer { wasRequested = false }
        return wasRequested
    }

    /// The last words: counters where options ask for them.
    func finish() throws {
        clearProgress()
        if rejected > 0 && !options.isQuiet && options.onError == .skip {
            warn("\(rejected) rejected")
        }
        if options.isVerbose {
            let text = shown.members.filter { name, value in
                Metric.isCommon(name) || !["0", "0.000"].contains(value)
            }.map { "\($0.value) \($0.name)" }.joined(separator: ", ")
            info("\(text) in \(decimal(elapsedSeconds, places: 3)) s")
        }
        if options.writesStats {
            if let file = options.statsFile {
                try replaceFile(file, with: statsLine)
            } else {
                writeStatsNow()
            }
        }
        try writeMetrics()
        try rejects?.close()
    }

    /// A full disk under the counters must not end a stream that works.
    private func refreshMetrics() {
        do {
            try writeMetrics()
        } catch {
            if !warnedOfMetrics { warn((error as? Failure)?.message ?? "\(error)") }
            warnedOfMetrics = true
        }
    }

    package func writeMetrics() throws {
        guard let file = options.metricsFile else { return }
        var metrics = shown
        metrics.append(.elapsed, .number(elapsedSeconds))
        let base = file.split(separator: "/").last.map(String.init) ?? file
        let ending = base.lastIndex(of: ".").flatMap { $0 > base.startIndex ? $0 : nil }
        let name = base[..<(ending ?? base.endIndex)]
            .replacing("\\", with: "\\\\").replacing("\"", with: "\\\"")
            .replacing("\n", with: "\\n")
        let text = metrics.text(labels: "tool=\"\(tool)\",name=\"\(name)\"")
        try replaceFile(file, with: text)
    }

    // MARK: Progress

    /// Nanoseconds until the next thing that is due by the clock, or nil.
    var nextTick: UInt64? {
        if showsProgress { return 200_000_000 }
        return options.metricsFile == nil ? nil : options.metricsInterval
    }

    private var lastProgress: UInt64 = 0
    private var lastMetrics: UInt64 = 0
    private var warnedOfMetrics = false

    /// What is due by the clock: the live line, the metrics file.
    func tick(inputSize: Int?) {
        let now = clinux_monotonic_nanoseconds()
        if showsProgress && now - lastProgress >= 200_000_000 {
            lastProgress = now
            showProgress(inputSize: inputSize)
        }
        if let interval = options.metricsInterval, now - max(lastMetrics, started) >= interval {
            lastMetrics = now
            refreshMetrics()
        }
    }

    /// What is written is no answer to what is read: the live line has both.
    package var isTwoWay = false

    private func showProgress(inputSize: Int?) {
        let seconds = elapsedSeconds
        let rate = Double(inputBytes) / seconds
        let flow = { (bytes: Int, records: Int) in
            "\(readable(Double(bytes), unit: "B")), \(readable(Double(records), unit: "records"))"
        }
        var text = "\r\u{1B}[K\(tool): \(flow(inputBytes, recordsIn))"
        if isTwoWay {
            text += " in; \(flow(outputBytes, recordsOut)) out"
        } else {
            text += ", \(readable(rate, unit: "B/s"))"
        }
        text += ", \(clock(seconds))"
        if let inputSize, inputSize > inputBytes, rate > 0 {
            text += ", ETA \(clock(Double(inputSize - inputBytes) / rate))"
        }
        var line = ByteQueue()
        line.append(string: text)
        write(&line, to: 2)
        progressIsShown = true
    }

    func clearProgress() {
        guard progressIsShown else { return }
        var line = ByteQueue()
        line.append("\r\u{1B}[K")
        write(&line, to: 2)
        progressIsShown = false
    }

    /// `1:02:03` or `2:03`.
    private func clock(_ seconds: Double) -> String {
        let whole = Int(seconds)
        let pad = { (number: Int) in number < 10 ? "0\(number)" : "\(number)" }
        let minutes = whole / 60 % 60
        return whole >= 3600
            ? "\(whole / 3600):\(pad(minutes)):\(pad(whole % 60))" : "\(minutes):\(pad(whole % 60))"
    }
}

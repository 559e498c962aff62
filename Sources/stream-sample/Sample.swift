import StreamCodec
import StreamTool

/// Lines in, a sample of them out.
func sample(_ run: inout Run<SampleOptions>) throws -> ExitStatus {
    let settings = run.settings
    let method = try settings.chosenMethod()
    switch method {
    case .count(let count):
        try sample(Reservoirs(count, settings, randomSource(run)), &run)
    case .probability(let probability) where settings.hashesKeys:
        try sample(HashGate(probability: probability, seed: UInt64(settings.seed ?? 0)), &run)
    case .probability(let probability):
        try sample(GapGate(probability: probability, randomSource(run)), &run)
    case .nth(let number):
        try sample(GapGate(nth: number, offset: settings.offset), &run)
    case .rate(let rate):
        let burst = settings.burst ?? (settings.isPaced ? 1 : max(1, Int(rate.count)))
        let cellRate = CellRate(rate, burst: burst)
        if settings.isPaced {
            try sample(Pacer(cellRate, settings, run.report), &run)
        } else {
            try sample(RateGate(cellRate), &run)
        }
    case .adapt(let rate):
        let gate = AdaptiveGate(
            perSecond: rate.perSecond, smoothing: settings.smoothing, randomSource(run))
        try sample(gate, &run)
    case .latest:
        try sample(Latest(settings), &run)
    case .first, .distinct:
        try sample(FirstGate(), &run)
    case .change:
        try sample(ChangeGate(deadband: settings.deadband), &run)
    case .chart(let algorithm, let limit):
        try sample(Chart(algorithm, limit, settings), &run)
    }
    return .success
}

private func randomSource(_ run: borrowing Run<SampleOptions>) -> RandomSource {
    if let seed = run.settings.seed { return RandomSource(seed: UInt64(seed)) }
    // Short enough to be typed.
    let seed = UInt64.random(in: 1...999_999_999_999)
    run.report.info("seed \(seed)")
    return RandomSource(seed: seed)
}

private func sample<G: Gate & ~Copyable>(
    _ gate: consuming G, _ run: inout Run<SampleOptions>
) throws {
    try sample(Sieve(gate, run.settings), &run)
}

private func sample<S: Sampler & ~Copyable>(
    _ sampler: consuming S, _ run: inout Run<SampleOptions>
) throws {
    var sampling = try Sampling(sampler, run.settings)
    do {
        try sampling.readInputs(&run)
        try sampling.end(&run)
    } catch {
        // The sample of what came before the failure must reach the reader, too.
        try sampling.end(&run)
        throw error
    }
}

/// The loop, with what it keeps from one line to the next.
private struct Sampling<S: Sampler & ~Copyable>: ~Copyable {
    private var sampler: S
    private var sink: Sink
    private var line: Line
    private var clock: Clock
    private var judge: TimeJudge
    /// Lines whose time cannot be believed unless the next ones agree: a few.
    private var doubtful: [(bytes: [UInt8], place: Place)] = []
    /// Lines that still pass as they are: --header.
    private var headerLines: Int
    private var toldEvictions = false
    private var toldLate = false
    /// A blank line is a line.
    private let isText: Bool
    /// No option needs a look into the lines, or the lines that are not sampled.
    private let canSkip: Bool
    /// 366 days.
    private static var standardMaxGap: UInt64 { 366 * 86_400_000_000_000 }

    init(_ sampler: consuming S, _ settings: SampleOptions) throws {
        self.sampler = sampler
        sink = Sink(settings)
        line = try Line(settings)
        clock = Clock(settings)
        let maxGap = settings.maxGap ?? Self.standardMaxGap
        judge = TimeJudge(ahead: maxGap, behind: maxGap)
        headerLines = settings.headerLines
        isText = settings.isText
        canSkip = !line.isRead && !settings.isInverted
    }

    mutating func readInputs(_ run: inout Run<SampleOptions>) throws {
        var queue = ByteQueue(capacity: 512 << 10)
        while try run.openInput() {
            var lines = LineReader(maxLine: run.settings.common.maxLine)
            queue.removeAll()
            reading: while true {
                let deadline = sampler.isHolding ? clock.deadline : nil
                let arrival = try run.input.read(into: &queue, deadline: deadline)
                try tellTime(&run)
                switch arrival {
                case .bytes, .end:
                    try take(&lines, &queue, atEnd: arrival == .end, &run)
                    if arrival == .end { break reading }
                case .timeout:
                    break
                case .request:
                    try sink.withoutDropping { sink throws in
                        try sampler.writeSoFar(&sink, &run.output)
                    }
                    tellCounts(run.report)
                case .stopped:
                    return
                }
                // The next read may block, so nothing waits in the buffer while it does.
                try run.output.flush()
            }
        }
    }

    /// Takes the lines in `queue` that are complete.
    private mutating func take(
        _ lines: inout LineReader, _ queue: inout ByteQueue, atEnd: Bool,
        _ run: inout Run<SampleOptions>
    ) throws {
        defer { tellCounts(run.report) }
        while true {
            if canSkip && headerLines == 0 && sampler.skippable > 0 {
                let count = lines.skip(&queue, limit: sampler.skippable, keepsBlank: isText)
                sampler.skip(count)
                sink.skip(count)
            }
            switch lines.next(&queue, atEnd: atEnd) {
            case .line(let range):
                let bytes = queue.bytes(range)
                if !isText && bytes.isBlank { continue }
                sink.read += 1
                do {
                    try take(bytes, Place(run.input.name, line: lines.number), &run)
                } catch let error as LineError {
                    let place = Place(run.input.name, line: lines.number, byte: error.offset + 1)
                    try run.report.reject(place, error.reason, raw: bytes)
                }
            case .tooLong(let range):
                sink.read += 1
                try run.report.reject(
                    Place(run.input.name, line: lines.number),
                    "line longer than \(range.count) bytes (see --max-line)",
                    raw: queue.bytes(range))
            case .more:
                return
            }
        }
    }

    private mutating func take(
        _ bytes: UnsafeBufferPointer<UInt8>, _ place: Place, _ run: inout Run<SampleOptions>
    ) throws {
        if headerLines > 0 {
            headerLines -= 1
            try sink.writeAsItIs(bytes, &run.output)
            return
        }
        try line.read(bytes)
        if !clock.isLive {
            switch judge.judge(line.time) {
            case .likely:
                if doubtful.isEmpty { break }
                try dismissDoubtful(&run)
                try line.read(bytes)
            case .unlikely(let agrees):
                if !agrees { try dismissDoubtful(&run) }
                doubtful.append((Array(bytes), place))
                return
            case .overruling:
                try overrule(place, &run)
                try line.read(bytes)
            }
        }
        try pass(&run.output)
    }

    /// The line at hand goes to the sampler.
    private mutating func pass(_ output: inout Output) throws {
        if !clock.isLive {
            line.goOn()
            try reach(line.time, &output)
        }
        if line.isKept {
            try sink.keep(line.bytes, &output)
        } else {
            try sampler.take(line, &sink, &output)
        }
    }

    // MARK: Times that cannot be believed

    /// Nothing came that agrees with the lines that wait: they are wrong, or only late.
    private mutating func dismissDoubtful(_ run: inout Run<SampleOptions>) throws {
        try passDoubtful(&run) { (line, judge) throws(LineError) in
            if judge.isAhead(line.time) { throw line.tooFarAhead }
        }
    }

    /// The lines that wait agree with the one at hand: the times before them were wrong.
    private mutating func overrule(_ place: Place, _ run: inout Run<SampleOptions>) throws {
        run.report.add(to: "time_jumps")
        run.report.warn(
            "the times before are too far from those that agree from here on (see --max-gap):"
                + " going by these", at: doubtful.first?.place ?? place)
        line.beginAnew()
        try passDoubtful(&run) { (_, _) throws(LineError) in }
    }

    private mutating func passDoubtful(
        _ run: inout Run<SampleOptions>,
        _ check: (borrowing Line, TimeJudge) throws(LineError) -> Void
    ) throws {
        let waiting = doubtful
        doubtful = []
        for (bytes, place) in waiting {
            try bytes.withUnsafeBufferPointer { bytes in
                do {
                    try line.read(bytes)
                    try check(line, judge)
                    try pass(&run.output)
                } catch let error as LineError {
                    let place = Place(place.input, line: place.line, byte: error.offset + 1)
                    try run.report.reject(place, error.reason, raw: bytes)
                }
            }
        }
    }

    /// The time of arrival; it may end an interval.
    private mutating func tellTime(_ run: inout Run<SampleOptions>) throws {
        guard let now = clock.read() else { return }
        line.time = now
        try reach(now, &run.output)
        tellCounts(run.report)
    }

    /// Ends the interval before this time, if it is not that of the time before.
    private mutating func reach(_ time: UInt64, _ output: inout Output) throws {
        if clock.begins(intervalAt: time) { try sampler.endInterval(&sink, &output) }
        line.interval = clock.interval
    }

    /// Writes what is held and tells the last counts.
    mutating func end(_ run: inout Run<SampleOptions>) throws {
        // What is rejected only now must not keep the rest from its reader.
        let waiting = Result { try dismissDoubtful(&run) }
        try sampler.endInterval(&sink, &run.output)
        tellCounts(run.report)
        if sampler.evictions > 0 {
            run.report.warn("keys that were forgotten for others: \(sampler.evictions)")
        }
        if line.late > 0 {
            run.report.warn("lines that were older than one before them: \(line.late)")
        }
        try waiting.get()
    }

    private mutating func tellCounts(_ report: Report) {
        sink.tellCounts(report)
        if sampler.evictions > 0 && !toldEvictions {
            report.warn("the first key was forgotten for another (see --max-keys, --max-memory)")
            toldEvictions = true
        }
        if line.late > 0 && !toldLate {
            report.warn("the first line came that is older than one before it (see --time)")
            toldLate = true
        }
        report.set(sampler.evictions, as: "evicted_keys")
        report.set(line.late, as: "late")
    }
}

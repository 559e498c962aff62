import StreamCodec
import StreamTool

/// Lines whose time is too far from those before it: the next ones tell which is wrong.
extension Batching where D: ~Copyable {
    /// False when the line at hand, whose bytes these are, has to wait.
    mutating func believe(
        _ bytes: UnsafeBufferPointer<UInt8>, _ place: Place, _ run: inout Run<BatchOptions>
    ) throws -> Bool {
        switch time.verdict(on: line.time) {
        case .likely:
            if doubtful.isEmpty { return true }
            try dismissDoubtful(&run)
        case .unlikely(let agrees):
            if !agrees { try dismissDoubtful(&run) }
            // What is held is not in the journal, where it would have to be.
            if journal == nil {
                doubtful.append(Stages.HeldLine(bytes: Array(bytes), place: place))
                return false
            }
            try line.read(bytes)
            if time.isAhead(line.time) { throw line.tooFarAhead }
        case .overruling:
            run.report.add(to: "time_jumps")
            run.report.warn(
                "the times before are too far from those that agree from here on (see --max-gap):"
                    + " going by these", at: doubtful.first?.place ?? place)
            try release(&run, atEnd: true)
            stages.beginAnew()
            open.beginAnew()
            time.beginAnew()
            let agreed = doubtful
            doubtful = []
            for held in agreed {
                try again(held, &run) { (batching, run) throws in
                    try batching.stage(held.place, &run)
                }
            }
        }
        // Others were read in between.
        try line.read(bytes)
        return true
    }

    /// Nothing came that agrees with the lines that wait: they are wrong, or only late.
    mutating func dismissDoubtful(_ run: inout Run<BatchOptions>) throws {
        let wrong = doubtful
        doubtful = []
        for held in wrong {
            try again(held, &run) { (batching, run) throws in
                let time = batching.line.time
                if batching.time.isAhead(time) { throw batching.line.tooFarAhead }
                try batching.stage(held.place, &run)
            }
        }
    }
}

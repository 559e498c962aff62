import StreamCodec
import StreamTool

/// Server-Sent Events in, lines out.
package func decode(_ run: inout Run<DecodeOptions>) throws -> ExitStatus {
    if run.settings.reachesOut(run.operands) { return try follow(&run) }
    try run.settings.checkWithoutURL()
    if let file = run.settings.outputFile { try run.output.append(to: file) }
    var pipeline = try Pipeline(run.settings)
    do {
        try decodeInputs(&pipeline, &run)
        try pipeline.flush(&run)
    } catch {
        // What came before the failure is written, also what was held back.
        pipeline.releaseAll(&run)
        pipeline.count(in: run.report)
        throw error
    }
    pipeline.count(in: run.report)
    return .success
}

private func decodeInputs(
    _ pipeline: inout Pipeline, _ run: inout Run<DecodeOptions>
) throws {
    let end = run.settings.follow.maxTime.map { monotonicNanoseconds() + $0 } ?? .max
    var queue = ByteQueue(capacity: 512 << 10)

    inputs: while try !pipeline.isDone && run.openInput() {
        var reader = try EventReader(run.settings, run.settings.input)
        pipeline.beginInput(run.input.name)
        queue.removeAll()
        while true {
            let received = queue.count
            let deadline = min(end, pipeline.deadline ?? .max)
            switch try run.input.read(into: &queue, deadline: deadline == .max ? nil : deadline) {
            case .bytes:
                if try !reader.read(&queue, from: received, &pipeline, &run) { continue inputs }
            case .timeout:
                try pipeline.expire(&run)
            case .end:
                try reader.finish(&queue, &pipeline, &run)
                try pipeline.endInput(&run)
                continue inputs
            case .request:
                break
            case .stopped:
                break inputs
            }
            if pipeline.isDone || pipeline.sawEnd { break }
            // The next read may block, so nothing waits in the buffer while it does.
            try run.output.flush()
            if monotonicNanoseconds() >= end {
                run.report.info("--max-time is over")
                return try pipeline.endInput(&run)
            }
        }
        try pipeline.endInput(&run)
    }
}

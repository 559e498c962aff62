import StreamCodec
import StreamTool

/// Server-Sent Events in, lines out.
package func decode(_ run: inout Run<DecodeOptions>) throws -> ExitStatus {
    if run.settings.reachesOut(run.operands) { return try follow(&run) }
    try run.settings.checkWithoutURL()
    if let file = run.settings.outputFile { try run.output.append(to: file) }
    var pipeline = try Pipeline(run.settings)
    var queue = ByteQueue(capacity: 512 << 10)

    inputs: while try !pipeline.isDone && run.openInput() {
        var reader = try EventReader(run.settings, run.settings.input)
        pipeline.beginInput(run.input.name)
        queue.removeAll()
        while true {
            let received = queue.count
            switch try run.input.read(into: &queue, deadline: pipeline.deadline) {
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
        }
        try pipeline.endInput(&run)
    }
    try pipeline.flush(&run)
    pipeline.count(in: run.report)
    return .success
}

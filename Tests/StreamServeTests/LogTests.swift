import StreamCodec
import Testing

@testable import stream_serve

/// A log as an array of frames.
private struct Model {
    struct Frame {
        var place: Int
        var sequence: UInt64
        var events: Int
        var tally: GzipTally
    }

    var frames: [Frame] = []
    /// All bytes that ever were in it.
    var bytes: [UInt8] = []
    var base = 0

    func count(from place: Int) -> Int {
        frames.reduce(0) { $1.place >= place ? $0 + $1.events : $0 }
    }

    func frame(from place: Int) -> Frame? { frames.first { $0.place >= place } }

    func place(of sequence: UInt64, start: UInt64) -> Int? {
        if sequence < start { return nil }
        return frames.first { $0.sequence >= sequence }?.place ?? bytes.count
    }
}

@Suite struct LogTests {
    private func check(
        _ log: borrowing Log, _ model: Model, start: UInt64, next: UInt64, _ hint: String
    ) {
        let isEmpty = model.base == model.bytes.count
        let isEqual =
            log.base == model.base && log.end == model.bytes.count && log.isEmpty == isEmpty
            && log.bytes.bytes.elementsEqual(model.bytes[model.base...])
        #expect(isEqual, "\(hint)")
        for place in model.base...model.bytes.count {
            let count = log.count(from: place)
            #expect(count == model.count(from: place), "\(hint), \(place)")
            let mark = log.mark(from: place)
            let frame = model.frame(from: place)
            let isSame =
                mark?.place == frame?.place && mark?.sequence == frame?.sequence
                && mark?.tally == frame?.tally
            #expect(isSame, "\(hint), \(place)")
        }
        for sequence in (start > 2 ? start - 2 : 0)...next {
            let place = log.place(of: sequence, start: start)
            #expect(place == model.place(of: sequence, start: start), "\(hint), \(sequence)")
        }
    }

    /// Marks, cuts and clearing at random; events are left out as a filter does, and some frames
    /// have no bytes.
    @Test(arguments: 0..<30) func againstModel(_ round: Int) {
        var random = Random("log", round)
        var log = Log()
        var model = Model()
        var next: UInt64 = 1
        var start: UInt64 = 1
        let cuts = random.pick([3, 12, 60])
        for step in 0..<200 {
            let hint = "round \(round), step \(step), seed \(Seed.value)"
            if random.oneIn(cuts), let frame = model.frames.randomElement(using: &random) {
                log.cut(to: frame.place)
                model.base = frame.place
                model.frames.removeAll { $0.place < frame.place }
                start = model.frames[0].sequence
            } else if random.oneIn(cuts * 3) {
                log.removeAll()
                if random.oneIn(2) { log.shrink() }
                model.frames.removeAll()
                model.base = model.bytes.count
                start = next
            } else {
                next += random.oneIn(3) ? UInt64(random.below(4)) : 0
                let tally = GzipTally(crc: UInt32(step), length: next)
                log.mark(next, tally)
                // A heartbeat has none, a compressed piece may have many.
                let events = random.below(3)
                log.events += events
                model.frames.append(
                    Model.Frame(
                        place: model.bytes.count, sequence: next, events: events, tally: tally))
                next += 1
                let bytes = (0..<random.below(6)).map { UInt8(truncatingIfNeeded: step + $0) }
                log.bytes.append(bytes)
                model.bytes += bytes
            }
            if step % 5 == 0 { check(log, model, start: start, next: next, hint) }
        }
    }
}

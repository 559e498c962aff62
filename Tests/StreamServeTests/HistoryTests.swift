import StreamCodec
import StreamTool
import Testing

@testable import stream_serve

/// What a history must be, kept in the simplest way.
private struct Model {
    struct Entry {
        var sequence: UInt64
        var size: Int
        var arrival: UInt64
        var id: String?
        var key: UInt64
        var record: [UInt8]
    }

    var limits: HistoryLimits
    var entries: [Entry] = []

    var bytes: Int { entries.reduce(0) { $0 + $1.size } }

    mutating func trim(now: UInt64, isLagged: Bool) {
        while let oldest = entries.first {
            let isOld = limits.age.map { oldest.arrival + $0 < now } ?? false
            let isTooMuch = bytes > limits.bytes && entries.count > 1
            let isOver = (entries.count > limits.count || isOld) && !isLagged
            guard isTooMuch || isOver else { return }
            entries.removeFirst()
        }
    }

    func find(id: String) -> UInt64? { entries.last { $0.id == id }?.sequence }

    func find(arrival: UInt64) -> UInt64? { entries.first { $0.arrival >= arrival }?.sequence }

    func successor(_ entry: Entry) -> UInt64 {
        if entry.key == 0 { return 0 }
        return entries.first { $0.sequence > entry.sequence && $0.key == entry.key }?.sequence ?? 0
    }
}

@Suite struct HistoryTests {
    private func line(_ random: inout Random) -> String {
        let length = random.oneIn(40) ? random.below(20_000) : random.below(200)
        let filler = String(repeating: "x", count: length)
        var members = ["\"data\":{\"k\":\(random.below(5)),\"x\":\"\(filler)\"}"]
        if random.oneIn(3) {
            members.append("\"id\":\"" + random.pick(["a", "b\\u0063", "bc", "d\\\"", "é"]) + "\"")
        }
        return "{" + members.joined(separator: ",") + "}"
    }

    private static func id(_ event: StoredEvent) -> String? {
        guard event.head.pointee.hasOwnID else { return nil }
        var queue = ByteQueue()
        queue.append(replacing: event.id)
        return text(queue.bytes)
    }

    private func check(_ history: History, _ model: Model, _ hint: String) {
        #expect(history.count == model.entries.count, "\(hint)")
        #expect(history.bytes == model.bytes, "\(hint)")
        for (index, entry) in model.entries.enumerated() {
            let sequence = history.first + UInt64(index)
            #expect(sequence == entry.sequence, "\(hint)")
            let event = history[sequence]
            let isSame =
                event.head.pointee.sequence == sequence && Array(event.record) == entry.record
                && event.head.pointee.arrival == entry.arrival
            #expect(isSame, "\(hint), event \(sequence)")
            #expect(event.head.pointee.successor == model.successor(entry), "\(hint)")
        }
        for id in ["a", "bc", "d\"", "é", "e-1", "none"] {
            #expect(history.find(id: Array(id)) == model.find(id: id), "\(hint), id \(id)")
        }
    }

    private func checkArrivals(_ history: History, _ model: Model, _ hint: String) {
        let times = model.entries.map(\.arrival)
        for time in Set([0, .max] + times.flatMap { [$0 - 1, $0, $0 + 1] }) {
            let expected = model.find(arrival: time) ?? history.next
            #expect(history.find(arrival: time) == expected, "\(hint), arrival \(time)")
        }
    }

    /// Appends and trims at random, with each kind of limit, against an array.
    @Test(arguments: 0..<24) func againstModel(_ round: Int) throws {
        var random = Random("history", round)
        var limits = HistoryLimits()
        if random.oneIn(2) { limits.count = random.below(40) }
        if random.oneIn(2) { limits.bytes = 1 + random.below(60_000) }
        if random.oneIn(2) { limits.age = UInt64(random.below(200)) }
        if limits.count == 10_000 && limits.age == nil { limits.bytes = 1 + random.below(60_000) }
        let history = History(limits, keepsKeys: true)
        var model = Model(limits: limits)
        let events = try Events {
            $0.form = .records
            $0.keyFrom = try JSONPath(".k")
        }
        var time: UInt64 = 1000
        var isLagged = false
        for step in 0..<500 {
            time += UInt64(random.below(10))
            events.arrival = time
            try events.add(line(&random))
            let event = events.last
            model.entries.append(
                Model.Entry(
                    sequence: event.head.pointee.sequence, size: event.head.pointee.size,
                    arrival: time, id: Self.id(event), key: event.head.pointee.key,
                    record: Array(event.record)))
            history.append(event)
            if random.oneIn(30) { isLagged.toggle() }
            if random.oneIn(4) {
                history.trim(now: time, isLagged: isLagged)
                model.trim(now: time, isLagged: isLagged)
            }
            guard step % 20 == 0 else { continue }
            check(history, model, "round \(round), step \(step), seed \(Seed.value)")
            checkArrivals(history, model, "round \(round), step \(step), seed \(Seed.value)")
        }
        #expect(history.next == 501)
    }

    /// More events than there are places for at first, and a ring that goes round often.
    @Test func growth() throws {
        var limits = HistoryLimits()
        limits.count = 3000
        let history = History(limits, keepsKeys: false)
        let events = Events()
        for number in 1...12_000 {
            try events.add("\(number)")
            history.append(events.last)
            history.trim(now: 0, isLagged: number < 6000 && number > 3500)
            guard number % 1000 == 0 else { continue }
            let isLagged = number < 6000 && number > 3500
            // What went before clients lagged is gone.
            #expect(history.count == (isLagged ? number - 500 : min(number, 3000)))
            for sequence in history.first..<history.next {
                let isSame = text(history[sequence].payload) == "\(sequence)"
                #expect(isSame, "event \(sequence) of \(number)")
            }
        }
    }

    /// The newest event is kept whatever its size; with --history 0 none is.
    @Test func limitsOfOne() throws {
        var limits = HistoryLimits()
        limits.bytes = 10
        let history = History(limits, keepsKeys: false)
        let events = Events()
        for number in 1...3 {
            try events.add("\"\(String(repeating: "x", count: 100_000 * number))\"")
            history.append(events.last)
            history.trim(now: 0, isLagged: false)
            #expect(history.count == 1 && history.first == UInt64(number))
        }
        limits.count = 0
        let none = History(limits, keepsKeys: false)
        none.append(events[0])
        none.trim(now: 0, isLagged: true)
        #expect(none.count == 1)
        none.trim(now: 0, isLagged: false)
        #expect(none.count == 0 && none.first == 2 && none.bytes == 0)
        none.append(events[1])
        #expect(none.count == 1)
    }

    /// A key that was forgotten with its event has no successor when it comes again.
    @Test func successorOfForgotten() throws {
        var limits = HistoryLimits()
        limits.count = 2
        let history = History(limits, keepsKeys: true)
        let events = try Events { $0.keyFrom = try JSONPath(".k") }
        for line in [#"{"k":1}"#, #"{"k":2}"#, #"{"k":3}"#, #"{"k":1}"#, #"{"k":1}"#, "{}", "{}"] {
            try events.add(line)
            history.append(events.last)
            if events.next < 7 { history.trim(now: 0, isLagged: false) }
        }
        let successors = (history.first..<history.next).map { history[$0].head.pointee.successor }
        // What has no key follows nothing.
        #expect(successors == [5, 0, 0, 0])
    }

    @Test func knowsOwnIDs() throws {
        let history = History(HistoryLimits(), keepsKeys: false)
        let events = Events { $0.form = .records }
        try events.add(#"{"data":1}"#)
        history.append(events.last)
        #expect(!history.hasOwnIDs)
        // It looks like one of ours, and is not looked up as the publisher's.
        #expect(history.find(id: Array("e-1")) == nil)
        try events.add(#"{"data":1,"id":"e-1"}"#)
        history.append(events.last)
        #expect(history.hasOwnIDs)
        #expect(history.find(id: Array("e-1")) == 2)
    }
}

import StreamCodec
import Testing

@Suite struct RecentKeysTests {
    @Test func forgetsAfterItsLifetime() {
        var keys = RecentKeys(limit: 10, lifetime: 5)
        let got = [("a", 0), ("a", 4), ("b", 4), ("a", 5), ("b", 8), ("b", 9), ("a", 9), ("a", 10)]
            .map { keys.insert(bytes($0.0), now: UInt64($0.1)) }
        #expect(got == [true, false, true, true, false, true, false, true])
        #expect(keys.evictions == 0)
    }

    @Test func forgetsTheOldest() {
        var keys = RecentKeys(limit: 2)
        let got = ["a", "a", "b", "a", "c", "b", "a", "c", "a"].map { keys.insert(bytes($0)) }
        #expect(got == [true, false, true, false, true, false, true, false, false])
    }

    @Test func limitOfOneAndEmptyKey() {
        var keys = RecentKeys(limit: 1)
        #expect(
            ["", "", "x", "", "x", "x"].map { keys.insert(bytes($0)) }
                == [true, false, true, true, true, false])
    }

    /// Beside a list that is searched from its end.
    @Test(arguments: [1, 2, 3, 10, 100]) func likeAList(_ limit: Int) {
        var random = SplitMix64("likeAList \(limit)")
        var keys = RecentKeys(limit: limit)
        var list: [Int] = []
        for _ in 0..<3000 {
            let key = random.number(0...(limit * 2))
            let isNew = !list.suffix(limit).contains(key)
            check(keys.insert(bytes(String(key))), isNew)
            if isNew { list.append(key) }
        }
    }
}

/// Numbers go in with the time, and come out with the gaps before them.
private struct Order: ~Copyable {
    private var reorderer: Reorderer<String>
    private var log: [String] = []

    init(window: Int, maxWait: UInt64, dropsLate: Bool = false) {
        reorderer = Reorderer(window: window, maxWait: maxWait, dropsLate: dropsLate)
    }

    mutating func hold(_ numbers: Int..., at now: UInt64 = 0) -> [String] {
        for number in numbers {
            let arrival = reorderer.hold("\(number)", number: number, now: now)
            if case .restart(let first) = arrival { log.append("restart \(first)") }
            release(now, atEnd: false)
        }
        return takeLog()
    }

    mutating func wait(until now: UInt64) -> [String] {
        release(now, atEnd: false)
        return takeLog()
    }

    mutating func end(at now: UInt64 = 0) -> [String] {
        release(now, atEnd: true)
        return takeLog()
    }

    var deadline: UInt64? { reorderer.deadline }

    private mutating func release(_ now: UInt64, atEnd: Bool) {
        while let next = reorderer.next(now: now, atEnd: atEnd) {
            if let gap = next.gap { log.append("gap \(gap.lowerBound)-\(gap.upperBound)") }
            log.append(next.isLate ? "late \(next.item)" : next.item)
        }
    }

    private mutating func takeLog() -> [String] {
        defer { log = [] }
        return log
    }
}

@Suite struct ReordererTests {
    @Test func inOrderNothingWaits() {
        var order = Order(window: 10, maxWait: 100)
        #expect(order.hold(1) == ["1"])
        #expect(order.hold(2, 3) == ["2", "3"])
        #expect(order.deadline == nil)
        #expect(order.end() == [])
    }

    @Test(arguments: [0, 1]) func aBeginningGoesAtOnce(_ first: Int) {
        var order = Order(window: 10, maxWait: 100)
        #expect(order.hold(first + 1, first + 2) == (first == 0 ? ["1", "2"] : []))
        #expect(order.hold(first) == (first == 0 ? ["late 0"] : ["1", "2", "3"]))
    }

    /// A stream that begins elsewhere waits once for what may stand before.
    @Test func anotherBeginningWaits() {
        var order = Order(window: 10, maxWait: 100)
        #expect(order.hold(42, at: 5) == [])
        #expect(order.deadline == 105)
        #expect(order.hold(41, at: 20) == [])
        #expect(order.wait(until: 104) == [])
        #expect(order.wait(until: 105) == ["41", "42"])
        #expect(order.hold(43, at: 106) == ["43"])
        #expect(order.hold(40, at: 106) == ["late 40"])
    }

    @Test func negativeNumbers() {
        var order = Order(window: 2, maxWait: 100)
        #expect(order.hold(-2, -3) == [])
        #expect(order.hold(-1) == ["-3", "-2", "-1"])
        #expect(order.hold(0, 1) == ["0", "1"])
    }

    @Test func putsBackInOrder() {
        var order = Order(window: 10, maxWait: 100)
        #expect(order.hold(1) == ["1"])
        #expect(order.hold(4, 3, 5) == [])
        #expect(order.hold(2) == ["2", "3", "4", "5"])
        #expect(order.hold(6) == ["6"])
    }

    @Test func aGapIsGivenUpAfterMaxWait() {
        var order = Order(window: 10, maxWait: 100)
        #expect(order.hold(1, at: 0) == ["1"])
        #expect(order.hold(3, at: 10) == [])
        #expect(order.hold(4, at: 50) == [])
        #expect(order.deadline == 110)
        #expect(order.wait(until: 109) == [])
        #expect(order.wait(until: 110) == ["gap 2-2", "3", "4"])
        #expect(order.deadline == nil)
        #expect(order.hold(2, at: 111) == ["late 2"])
        #expect(order.hold(5, at: 112) == ["5"])
    }

    /// The deadline is that of the item that came first, not of the lowest number.
    @Test func eachItemHasItsOwnDeadline() {
        var order = Order(window: 10, maxWait: 100)
        #expect(order.hold(0, at: 0) == ["0"])
        #expect(order.hold(9, at: 10) == [])
        #expect(order.hold(5, at: 60) == [])
        #expect(order.deadline == 110)
        // 9 may wait no longer, so 5 goes before it, and so do the gaps.
        #expect(order.wait(until: 110) == ["gap 1-4", "5", "gap 6-8", "9"])
    }

    @Test func theWindowBoundsWhatIsHeld() {
        var order = Order(window: 3, maxWait: 1000)
        #expect(order.hold(1) == ["1"])
        #expect(order.hold(3, 5, 7) == [])
        #expect(order.hold(9) == ["gap 2-2", "3"])
        #expect(order.hold(11) == ["gap 4-4", "5"])
        #expect(order.hold(6) == ["6", "7"])
        #expect(order.end() == ["gap 8-8", "9", "gap 10-10", "11"])
    }

    @Test func equalNumbers() {
        var reorderer = Reorderer<String>(window: 10, maxWait: 100)
        for (item, number) in [("a", 2), ("b", 2), ("c", 1), ("d", 1)] {
            _ = reorderer.hold(item, number: number, now: 0)
        }
        var items: [String] = []
        while let next = reorderer.next(now: 0) {
            #expect(next.gap == nil && !next.isLate)
            items.append(next.item)
        }
        #expect(items == ["c", "d", "a", "b"])
        _ = reorderer.hold("e", number: 2, now: 0)
        #expect(reorderer.next(now: 0)?.isLate == true)
    }

    @Test func theEndWaitsForNothing() {
        var order = Order(window: 10, maxWait: 100)
        #expect(order.hold(7, 5) == [])
        #expect(order.end() == ["5", "gap 6-6", "7"])
        #expect(order.end() == [])
    }

    /// Numbers come from the wire: the largest must not overflow.
    @Test func extremeNumbers() {
        var order = Order(window: 0, maxWait: 0)
        #expect(order.hold(.min) == ["\(Int.min)"])
        #expect(order.hold(.max) == ["gap \(Int.min + 1)-\(Int.max - 1)", "\(Int.max)"])
        #expect(order.hold(.max) == ["\(Int.max)"])
        #expect(order.hold(0) == ["late 0"])
    }

    /// Numbers in reverse took a step for each pair of them: here 45,000,000,000.
    @Test func inReverse() {
        let count = 300_000
        var reorderer = Reorderer<Int>(window: count, maxWait: .max / 2)
        for number in (1...count).reversed() {
            _ = reorderer.hold(number, number: number, now: 0)
        }
        var next = 1
        while let release = reorderer.next(now: 0) {
            check(release.gap, nil)
            check(release.item, next)
            next += 1
        }
        check(next, count + 1)
    }

    // MARK: A sender that begins anew

    @Test func threeNumbersFarBelowAreARestart() {
        var order = Order(window: 10, maxWait: 100)
        #expect(order.hold(100, at: 0) == [])
        #expect(order.wait(until: 100) == ["100"])
        #expect(order.hold(103, at: 100) == [])
        #expect(order.hold(1, 2, at: 101) == [])
        // What was held before goes first.
        #expect(order.hold(3, at: 101) == ["restart 1", "gap 101-102", "103", "1", "2", "3"])
        #expect(order.hold(5, at: 102) == [])
        #expect(order.deadline == 202)
        #expect(order.hold(4, 6, at: 103) == ["4", "5", "6"])
        #expect(order.deadline == nil)
    }

    @Test func stragglersAreNoRestart() {
        var order = Order(window: 10, maxWait: 100)
        #expect(order.hold(100, 101, at: 0) == [])
        #expect(order.wait(until: 100) == ["100", "101"])
        // Not in a row, falling, not far enough.
        #expect(order.hold(1, 2, at: 101) == [])
        #expect(order.hold(102, 3, 4, at: 101) == ["late 1", "late 2", "102"])
        #expect(order.hold(99, 5, 6, at: 101) == ["late 3", "late 4", "late 99"])
        #expect(order.hold(4, 3, 2, at: 101) == ["late 5", "late 6", "late 4", "late 3"])
        #expect(
            order.hold(94, 95, 96, 97, at: 101)
                == ["late 2"] + (94...97).map { "late \($0)" })
        #expect(order.hold(103, 1, 2, at: 101) == ["103"])
        #expect(order.end(at: 101) == ["late 1", "late 2"])
    }

    /// No item waits longer than is allowed, yet the third tells all the same.
    @Test func lowNumbersWaitSoLong() {
        var order = Order(window: 10, maxWait: 100)
        #expect(order.hold(100, at: 0) == [])
        #expect(order.wait(until: 100) == ["100"])
        #expect(order.hold(1, at: 110) == [])
        #expect(order.hold(3, at: 150) == [])
        #expect(order.deadline == 210)
        #expect(order.wait(until: 210) == ["late 1"])
        #expect(order.deadline == 250)
        #expect(order.hold(5, at: 220) == ["restart 3", "3"])
        // It waits for 4 since it came.
        #expect(order.deadline == 320)
        #expect(order.wait(until: 320) == ["gap 4-4", "5"])
        #expect(order.deadline == nil)
        #expect(order.hold(-20, at: 400) == [])
        #expect(order.wait(until: 500) == ["late -20"])
        #expect(order.hold(-19, at: 600) == [])
        #expect(order.wait(until: 700) == ["late -19"])
        #expect(order.hold(-17, at: 800) == ["restart -17", "-17"])
    }

    /// Where late items are dropped, those that may be the first of a sender must not be too soon.
    @Test func whatWouldBeDroppedIsKept() {
        var order = Order(window: 10, maxWait: 100, dropsLate: true)
        #expect(order.hold(100, at: 0) == [])
        #expect(order.wait(until: 100) == ["100"])
        #expect(order.hold(1, at: 110) == [])
        #expect(order.deadline == 210)
        #expect(order.wait(until: 210) == [])
        #expect(order.deadline == nil)
        #expect(order.hold(2, at: 400) == [])
        #expect(order.wait(until: 500) == [])
        #expect(order.hold(4, at: 600) == ["restart 1", "1", "2"])
        #expect(order.deadline == 700)
        #expect(order.wait(until: 700) == ["gap 3-3", "4"])
        #expect(order.hold(-20, at: 800) == [])
        #expect(order.wait(until: 900) == [])
        #expect(order.hold(5, at: 1000) == ["late -20", "5"])
        #expect(order.hold(-30, at: 1100) == [])
        #expect(order.wait(until: 1200) == [])
        #expect(order.end(at: 1300) == ["late -30"])
    }

    /// Each item comes out once, and none is left, whatever comes.
    @Test func eachComesOutOnce() {
        var random = SplitMix64("eachComesOutOnce")
        for _ in 0..<500 {
            var reorderer = Reorderer<Int>(
                window: random.number(0...5), maxWait: UInt64(random.number(0...20)),
                maxKeys: random.number(1...3), dropsLate: random.number(0...1) == 0)
            var (now, items): (UInt64, [Int]) = (0, [])
            let count = random.number(1...100)
            for item in 0..<count {
                now += UInt64(random.number(0...8))
                bytes("\(random.number(0...3))").withUnsafeBufferPointer {
                    _ = reorderer.hold(item, number: random.number(0...30), key: $0, now: now)
                }
                while let next = reorderer.next(now: now) { items.append(next.item) }
                check(reorderer.deadline ?? .max > now, true)
            }
            while let next = reorderer.next(now: 0, atEnd: true) { items.append(next.item) }
            check(items.sorted(), Array(0..<count))
        }
    }

    // MARK: Keys

    private func release(
        _ reorderer: inout Reorderer<String>, now: UInt64 = 0, atEnd: Bool = false
    ) -> [String] {
        var items: [String] = []
        while let next = reorderer.next(now: now, atEnd: atEnd) {
            let gap = next.gap.map { "\($0.lowerBound)-\($0.upperBound) " } ?? ""
            items.append(gap + next.item)
        }
        return items
    }

    @Test func eachKeyHasItsOrder() {
        var reorderer = Reorderer<String>(window: 2, maxWait: 100, maxKeys: 10)
        func hold(_ key: String, _ number: Int, _ now: UInt64 = 0) -> [String] {
            let text = bytes(key)
            _ = text.withUnsafeBufferPointer {
                reorderer.hold("\(key)\(number)", number: number, key: $0, now: now)
            }
            return release(&reorderer, now: now)
        }
        #expect(hold("a", 1) == ["a1"])
        #expect(hold("b", 1) == ["b1"])
        #expect(hold("a", 3) == [])
        #expect(hold("b", 4, 10) == [])
        #expect(hold("b", 3, 20) == [])
        #expect(hold("a", 2, 30) == ["a2", "a3"])
        #expect(reorderer.deadline == 110)
        #expect(hold("a", 4, 110) == ["a4", "2-2 b3", "b4"])
        #expect(reorderer.deadline == nil)
        // The window is that of each.
        #expect(hold("a", 6, 120) == [])
        #expect(hold("b", 6, 120) == [])
        #expect(hold("a", 7, 120) == [])
        #expect(hold("b", 7, 120) == [])
        #expect(hold("a", 8, 120) == ["5-5 a6", "a7", "a8"])
        #expect(release(&reorderer, atEnd: true) == ["5-5 b6", "b7"])
    }

    /// The key that gives way must not keep what is held of it, nor leave its numbers to another.
    @Test func aKeyTooMany() {
        var reorderer = Reorderer<String>(window: 10, maxWait: 100, maxKeys: 2)
        func hold(_ key: String, _ number: Int) {
            let text = bytes(key)
            _ = text.withUnsafeBufferPointer {
                reorderer.hold("\(key)\(number)", number: number, key: $0, now: 0)
            }
        }
        hold("a", 1)
        hold("a", 3)
        hold("b", 1)
        hold("b", 3)
        #expect(release(&reorderer) == ["b1"])
        hold("c", 0)
        #expect(release(&reorderer) == ["a1", "2-2 a3", "c0"])
        check(reorderer.evictions, 1)
        hold("c", 2)
        #expect(release(&reorderer, now: 100) == ["2-2 b3", "1-1 c2"])
    }

    /// Any order within the window comes out sorted, each number once.
    @Test func shuffledWithinTheWindow() {
        var random = SplitMix64("shuffledWithinTheWindow")
        for _ in 0..<200 {
            let window = random.number(1...20)
            var reorderer = Reorderer<Int>(window: window, maxWait: .max / 2)
            let count = random.number(1...200)
            // A number arrives at most `window` places too early.
            let arrivals = (1...count).map { ($0 + random.number(0...window), $0) }.sorted {
                $0 < $1
            }
            var items: [Int] = []
            for (now, (_, number)) in arrivals.enumerated() {
                _ = reorderer.hold(number, number: number, now: UInt64(now))
                while let next = reorderer.next(now: UInt64(now)) {
                    check(next.gap, nil)
                    check(next.isLate, false)
                    items.append(next.item)
                }
            }
            while let next = reorderer.next(now: 0, atEnd: true) { items.append(next.item) }
            check(items, Array(1...count), "window \(window)")
        }
    }
}

extension RecentKeys {
    fileprivate mutating func insert(_ key: [UInt8], now: UInt64 = 0) -> Bool {
        key.withUnsafeBufferPointer { insert($0, now: now) }
    }
}

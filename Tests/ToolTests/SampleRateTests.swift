import Testing

/// stream-sample --rate, --adapt and --nth, by the time in the lines: against a bucket of tokens,
/// and against what comes of each second.
@Suite struct SampleRateTests {
    private static func lines(_ times: [Int]) -> [UInt8] {
        var lines: [UInt8] = []
        lines.reserveCapacity(24 * times.count)
        for time in times { lines += Array("{\"t\":\(time)}\n".utf8) }
        return lines
    }

    private static let byTime = "--time .t --time-unit ns"

    /// Nanoseconds of so many seconds.
    private static func seconds(_ seconds: Double) -> Int { Int((seconds * 1e9).rounded()) }

    // MARK: --rate

    /// A bucket that holds `burst` tokens and gets one each `interval` nanoseconds, in parts.
    private struct Bucket {
        let interval: Int
        let burst: Int
        /// What is in it, in nanoseconds, and when that was.
        private var level: Int
        private var time = 0

        init(interval: Int, burst: Int) {
            self.interval = interval
            self.burst = burst
            level = interval * burst
        }

        /// Takes a token if there is a whole one. Time does not run back.
        mutating func take(at now: Int) -> Bool {
            level = min(interval * burst, level + max(0, now - time))
            time = max(time, now)
            guard level >= interval else { return false }
            level -= interval
            return true
        }
    }

    /// Lines at random distances: at once, a little before, at, or behind the time of the next
    /// token, and pauses. Now and then one whose time is before that of the last.
    private static func arrivals(
        _ interval: Int, _ count: Int, random: inout SeededGenerator
    ) -> [Int] {
        var time = 1_715_904_000_000_000_000
        return (0..<count).map { _ in
            switch random.next() % 20 {
            case 0: time += interval - 1
            case 1..<3: time += interval
            case 3: time += interval + 1
            case 4: time += .random(in: 0...8 * interval, using: &random)
            case 5..<8: time += .random(in: 0...interval, using: &random)
            case 8: return time - .random(in: 1...interval, using: &random)
            default: break
            }
            return time
        }
    }

    static let rates: [(rate: String, interval: Int, burst: Int?, standard: Int)] = [
        ("1000/s", 1_000_000, nil, 1000), ("1000/s", 1_000_000, 1, 1000),
        ("8/s", 125_000_000, 1, 8), ("8/s", 125_000_000, 3, 8), ("8", 125_000_000, nil, 8),
        ("0.5/s", 2_000_000_000, nil, 1), ("2/m", 30_000_000_000, nil, 2),
        ("2/m", 30_000_000_000, 5, 1), ("16/m", 3_750_000_000, 2, 1),
        ("90/h", 40_000_000_000, 4, 1), ("60/h", 60_000_000_000, nil, 60),
        ("1000000000/s", 1, 2, 1), ("64/s", 15_625_000, 1000, 64),
    ]

    @Test(arguments: rates.indices) func theSameAsABucketOfTokens(_ row: Int) throws {
        let (rate, interval, burst, standard) = Self.rates[row]
        var random = SeededGenerator.usual(UInt64(row))
        let times = Self.arrivals(interval, 3000, random: &random)
        let option = burst.map { "--burst \($0)" } ?? ""
        let output = try Samples.run(
            "--rate \(rate) \(option) \(Self.byTime) --annotate r -q", Self.lines(times))
        var bucket = Bucket(interval: interval, burst: burst ?? standard)
        var expected = ""
        var waiting = 1
        for time in times {
            if bucket.take(at: time) {
                let rate = waiting == 1 ? "1" : "\(1 / Double(waiting))"
                expected += "{\"t\":\(time),\"r\":\(rate)}\n"
                waiting = 1
            } else {
                waiting += 1
            }
        }
        let isSame = output == Array(expected.utf8)
        #expect(isSame)
        #expect(expected.count { $0 == "\n" } < times.count)
    }

    /// Lines that came exactly at the rate were dropped now and then.
    @Test(arguments: [
        ("3/s", 3, 1), ("6/s", 6, 1), ("7/s", 7, 1), ("9/s", 9, 1), ("60/s", 60, 1), ("7/m", 7, 60),
        ("0.7/s", 7, 10), ("0.3/m", 3, 600),
    ])
    func exactlyTheRate(_ rate: String, _ count: Int, _ seconds: Int) throws {
        let times = (0..<100).flatMap { Array(repeating: $0 * seconds, count: count) }
        let lines = Self.lines(times)
        let output = try Samples.run("--rate \(rate) --burst \(count) --time .t", lines)
        #expect(output == lines)
    }

    /// In no time of t are there more lines than burst + rate t, also where the distance between
    /// two is no whole number of nanoseconds; and where lines wait, no less.
    @Test(arguments: [(3, 1), (3, 2), (7, 7), (600, 30), (999, 10)])
    func neverMoreThanTheRate(_ rate: Int, _ burst: Int) throws {
        var random = SeededGenerator.usual(99)
        var times = Self.arrivals(1_000_000_000 / rate, 4000, random: &random).sorted()
        let start = times[0]
        // Twenty lines for each token, for 1000 tokens.
        times += (1...20_000).map { times[3999] + $0 * 50_000_000 / rate }
        let output = try Samples.run(
            "--rate \(rate) --burst \(burst) \(Self.byTime)", Self.lines(times.map { $0 - start }))
        let sampled = Samples.values(output).map { Int($0) }
        for count in [1, 2, 3, 10, 100, 700] {
            for (first, last) in zip(sampled, sampled.dropFirst(count)) {
                // count + 1 lines in this time, of which `burst` cost nothing.
                let needed = (count + 1 - burst) * 1_000_000_000
                #expect((last - first) * rate >= needed - rate, "\(count) at \(first)")
            }
        }
        let end = sampled.count { $0 > times[3999] - start }
        #expect((950...1000 + burst).contains(end))
    }

    /// Each key has a bucket of its own.
    @Test func rateOfEachKey() throws {
        var random = SeededGenerator.usual(5)
        let times = Self.arrivals(25_000_000, 4000, random: &random).sorted()
        let keys = times.map { _ in Int(random.next() % 7) }
        var buckets = Array(repeating: Bucket(interval: 250_000_000, burst: 2), count: 7)
        let lines = zip(keys, times).map { "{\"k\":\($0),\"t\":\($1)}\n" }
        let expected = lines.indices.filter { buckets[keys[$0]].take(at: times[$0]) }
        let options = "--rate 4/s --burst 2 --by .k --time .t"
        let isSame =
            try run("stream-sample", options, lines.joined()).text
            == expected.map { lines[$0] }.joined()
        #expect(isSame)
        #expect((500..<3500).contains(expected.count))
    }

    // MARK: --adapt

    private struct Adapted {
        /// Nanoseconds.
        var times: [Int]
        var rates: [Double]

        init(_ options: String, _ times: [Int]) throws {
            let output = try Samples.run(
                "--adapt \(options) \(byTime) --annotate r", SampleRateTests.lines(times))
            let values = Samples.values(output)
            self.times = stride(from: 0, to: values.count, by: 2).map { Int(values[$0]) }
            rates = stride(from: 1, to: values.count, by: 2).map { values[$0] }
        }

        /// Lines from one second up to another.
        func count(_ seconds: Range<Double>) -> Int {
            let start = SampleRateTests.seconds(seconds.lowerBound)
            let end = SampleRateTests.seconds(seconds.upperBound)
            return times.count { $0 >= start && $0 < end }
        }

        /// The lines that came in, and how far off that may be.
        var estimate: (count: Double, deviation: Double) {
            let count = rates.reduce(0) { $0 + 1 / $1 }
            let variance = rates.reduce(0) { $0 + (1 - $1) / $1 / $1 }
            return (count, variance.squareRoot())
        }

        /// In no time of t are there many more lines than the (t + smoothing) times `wanted` that
        /// are expected at the most.
        func checkLimit(_ wanted: Double, smoothing: Double) {
            for step in [1, 3, 10, 30, 100, 300, 1000, 3000] where step < times.count {
                let excess = zip(times, times.dropFirst(step)).map { first, last in
                    let most = (Double(last - first) / 1e9 + smoothing) * wanted
                    return (Double(step + 1) - most) / most.squareRoot()
                }
                #expect(excess.allSatisfy { $0 < 4 }, "of \(step + 1) lines")
            }
        }
    }

    /// So many lines a second from one second to another, at equal distances.
    private static func flow(_ rate: Double, _ range: Range<Double>) -> [Int] {
        let count = Int((range.upperBound - range.lowerBound) * rate)
        return (0..<count).map { seconds(range.lowerBound + Double($0) / rate) }
    }

    @Test(arguments: [130.0, 200, 1000, 3000], ["", "--smoothing 1s"])
    func asManyAsWanted(_ rate: Double, _ smoothing: String) throws {
        let adapted = try Adapted("100/s --seed 21 \(smoothing)", Self.flow(rate, 0..<33))
        // The first seconds have the allowance.
        let steady = Double(adapted.count(22..<33))
        #expect(abs(steady - 1100) < 3.3 * 1100.squareRoot() + 22)
        adapted.checkLimit(100, smoothing: smoothing.isEmpty ? 5 : 1)
        let estimate = adapted.estimate
        #expect(abs(estimate.count - 33 * rate) < 3.3 * estimate.deviation)
    }

    @Test func whatIsLessThanWantedPasses() throws {
        let adapted = try Adapted("100/s --seed 3", Self.flow(60, 0..<20))
        #expect(adapted.times.count == 1200)
        #expect(adapted.rates.allSatisfy { $0 == 1 })
    }

    /// Ten a second, a hundred thousand, silence, bursts and a thousand.
    @Test(arguments: [1, 2, 3]) func jumps(_ seed: Int) throws {
        var times = Self.flow(10, 0..<20) + Self.flow(100_000, 20..<21.5) + Self.flow(10, 21.5..<40)
        for burst in 60..<70 {
            times += Array(repeating: Self.seconds(2 * Double(burst)), count: 1200)
        }
        times += Self.flow(1000, 160..<172)
        let adapted = try Adapted("400/s --smoothing 1s --seed \(seed)", times)
        adapted.checkLimit(400, smoothing: 1)
        #expect(adapted.count(0..<20) == 200)
        // One second's allowance, and what was wanted in the time.
        #expect(abs(adapted.count(20..<21.5) - 1000) < 140)
        for burst in 60..<70 {
            #expect((200...460).contains(adapted.count(2 * Double(burst)..<2 * Double(burst) + 1)))
        }
        #expect(abs(adapted.count(162..<172) - 4000) < 330)
        let estimate = adapted.estimate
        #expect(abs(estimate.count - Double(times.count)) < 3.3 * estimate.deviation)
        #expect(estimate.deviation < 0.05 * Double(times.count))
    }

    /// Lines with whole seconds come a second's at once. The estimate is no worse for it, though
    /// not all of the allowance may be used.
    @Test func wholeSeconds() throws {
        let times = Self.flow(3000, 0..<20).map { $0 / 1_000_000_000 * 1_000_000_000 }
        let adapted = try Adapted("200/s --seed 8", times)
        #expect((3200...4700).contains(adapted.count(2..<20)))
        adapted.checkLimit(200, smoothing: 5)
        #expect(abs(adapted.estimate.count / 60_000 - 1) < 0.1)
    }

    /// Of a burst that is many times the allowance the lines at its end must have a chance, too:
    /// else the rates, though right on average over all seeds, nearly always add up to far less.
    @Test(arguments: [10, 30]) func aBurstAtOnce(_ size: Int) throws {
        var errors: [Double] = []
        for seed in 1...7 {
            let burst = Array(repeating: Self.seconds(20), count: 1000 * size)
            let adapted = try Adapted(
                "1000/s --seed \(seed)", Self.flow(10, 0..<20) + burst)
            #expect(adapted.count(20..<21) < 5240)
            errors.append(abs(adapted.estimate.count / Double(1000 * size + 200) - 1))
        }
        #expect(errors.sorted()[3] < 0.2, "\(errors)")
    }

    /// The smoothed rate is that of a flood for long after it. What is allowed by then makes up for
    /// that, so that a trickle behind it passes.
    @Test func aTrickleBehindAFlood() throws {
        let times = Self.flow(10_000, 0..<5) + Self.flow(50, 20..<30)
        let adapted = try Adapted("100/s --seed 5", times)
        #expect(adapted.count(20..<30) == 500)
        adapted.checkLimit(100, smoothing: 5)
    }

    /// At a rate of less than a line in the time of smoothing ten are allowed at once.
    @Test func burstsAtALowRate() throws {
        let keys = 300
        let input = Samples.lines(keys: keys, members: Array(repeating: "\"t\":60", count: 30))
        let values = Samples.values(
            try Samples.run("--adapt 6/m --by .k --time .t --seed 2 --annotate r", input))
        let rates = stride(from: 2, to: values.count, by: 3).map { values[$0] }
        #expect((4 * keys..<8 * keys).contains(rates.count))
        let deviation = rates.reduce(0) { $0 + (1 - $1) / $1 / $1 }.squareRoot()
        #expect(abs(rates.reduce(0) { $0 + 1 / $1 } - Double(30 * keys)) < 3.3 * deviation)
    }

    /// With less smoothing the rate of the past is forgotten sooner.
    @Test func smoothing() throws {
        let times = Self.flow(10_000, 0..<5) + Self.flow(50, 5..<15)
        let counts = try ["500ms", "1500ms", "5s"].map {
            try Adapted("100/s --seed 4 --smoothing \($0)", times).count(5..<15)
        }
        #expect(counts[0] > 300 && counts[0] > counts[1] + 20 && counts[1] > counts[2] + 50)
    }

    /// Each key by itself, whatever the others do.
    @Test func adaptOfEachKey() throws {
        let rates = [20.0, 500, 4000]
        let arrivals = rates.enumerated().flatMap { key, rate in
            Self.flow(rate, 0..<10).map { (time: $0, key: key) }
        }
        let lines = arrivals.sorted { ($0.time, $0.key) < ($1.time, $1.key) }.map {
            "{\"k\":\($0.key),\"t\":\($0.time)}\n"
        }
        let output = try Samples.run(
            "--adapt 50/s --smoothing 1s --by .k --seed 6 --annotate r \(Self.byTime)",
            Array(lines.joined().utf8))
        let values = Samples.values(output)
        for (key, rate) in rates.enumerated() {
            let rows = stride(from: 0, to: values.count, by: 3).filter { Int(values[$0]) == key }
            let steady = rows.count { values[$0 + 1] >= 2e9 }
            #expect(rate == 20 ? steady == 160 : abs(steady - 400) < 75)
            let estimate = rows.reduce(0) { $0 + 1 / values[$1 + 2] }
            #expect(abs(estimate / rate / 10 - 1) < 0.15)
        }
    }

    // MARK: --nth

    @Test(arguments: [(1, 0), (2, 1), (3, 0), (7, 6), (100, 50), (5000, 1), (1 << 60, 4)])
    func everyNth(_ nth: Int, _ offset: Int) throws {
        let input = Samples.numbers(3000)
        let places = stride(from: offset, to: 3000, by: nth)
        let expected = Array(places.map { "\($0)\n" }.joined().utf8)
        for options in ["", "--strict", "-t", "--seed 5"] {
            let output = try Samples.run("--nth \(nth) --offset \(offset) \(options)", input)
            let isExact = output == expected
            #expect(isExact)
        }
        if offset == 0 { #expect(try Samples.run("--nth \(nth)", input) == expected) }
    }

    @Test func everyNthOfEachKey() throws {
        var random = SeededGenerator.usual(31)
        var counts = Array(repeating: 0, count: 9)
        var expected = ""
        var lines = ""
        for number in 0..<4000 {
            let key = Int(random.next() % 9)
            let line = "{\"k\":\(key),\"i\":\(number)}\n"
            lines += line
            if counts[key] % 11 == 4 { expected += line }
            counts[key] += 1
        }
        let output = try run("stream-sample", "--nth 11 --offset 4 --by .k", lines)
        let isSame = output.text == expected
        #expect(isSame)
    }

    /// Of a stream that repeats itself --nth sees the same place of each cycle, and -p all.
    @Test func everyNthOfACycleIsOnePlace() throws {
        let lines = Array((0..<6000).map { "\($0 % 60)\n" }.joined().utf8)
        let nth = Set(Samples.lineValues(try Samples.run("--nth 60 --offset 15", lines)))
        #expect(nth == [15])
        let some = Samples.lineValues(try Samples.run("-p 0.2 --seed 3", lines)).map { Int($0) }
        ChiSquared.checkUniform(Samples.tally(some, below: 60))
    }
}

import Glibc
import Testing

/// stream-sample -p --key: which keys are sampled is a function of the key, the seed and the share
/// that anybody can compute, and looks random for keys of all kinds.
@Suite struct SampleKeyTests {
    // MARK: What kinds of keys there are

    enum Kind: CaseIterable, CustomTestStringConvertible {
        case number, user, uuid, address, mail

        var testDescription: String { "\(self)" }

        func key(_ number: Int, _ random: inout SeededGenerator) -> String {
            let bits = random.next()
            switch self {
            case .number: return "\(1000 + number)"
            case .user: return "\"user-\(100_000 + number)\""
            case .uuid:
                let digits = [bits, random.next()].map { String($0 | 1 << 63, radix: 16) }.joined()
                let groups = [0..<8, 8..<12, 12..<16, 16..<20, 20..<32].map { range in
                    String(digits.dropFirst(range.lowerBound).prefix(range.count))
                }
                return "\"\(groups.joined(separator: "-"))\""
            case .address: return "\"10.\(number >> 16).\(number >> 8 & 255).\(number & 255)\""
            case .mail:
                let names = ["anna", "ben", "carla", "dmitri", "eve"]
                let host = bits % 2 == 0 ? "mail.org" : "example.com"
                return "\"\(names[number % 5]).\(number / 5)@\(host)\""
            }
        }
    }

    private static let keyCount = 12_000

    /// Lines of so many different keys, with their numbers.
    private static func lines(_ kind: Kind) -> [UInt8] {
        var random = SeededGenerator(seed: 11)
        var lines: [UInt8] = []
        for number in 0..<keyCount {
            lines += Array("{\"i\":\(number),\"id\":\(kind.key(number, &random))}\n".utf8)
        }
        return lines
    }

    /// The keys that were sampled.
    private struct Sampled {
        var numbers: [Int] = []
        /// The same, as an answer for each key.
        var flags = Array(repeating: false, count: keyCount)

        init(_ lines: [UInt8], _ share: Double, seed: Int) throws {
            let output = try Samples.run("-p \(share) --key .id --seed \(seed)", lines)
            let values = Samples.values(output)
            numbers = stride(from: 0, to: values.count, by: 2).map { Int(values[$0]) }
            for number in numbers { flags[number] = true }
        }

        /// How many standard deviations this is from being independent of another sample, or with
        /// a distance of that of the key so far behind each one.
        func correlation(_ other: Sampled, distance: Int = 0, _ share: Double) -> Double {
            let count = keyCount - distance
            let first = numbers.filter { $0 < count }
            let second = other.numbers.count { $0 >= distance }
            let both = first.count { other.flags[$0 + distance] }
            let covariance =
                Double(both) - share * Double(first.count + second) + share * share * Double(count)
            return covariance / (Double(count).squareRoot() * share * (1 - share))
        }
    }

    // MARK: Statistics

    @Test(arguments: Kind.allCases) func keysAreSampledAsAtRandom(_ kind: Kind) throws {
        let lines = Self.lines(kind)
        var atHalf: [Sampled] = []
        for seed in [0, 1, 987_654_321_987] {
            var smaller: [Int] = []
            for share in [0.01, 0.1, 0.5, 0.9] {
                let sampled = try Sampled(lines, share, seed: seed)
                let count = sampled.numbers.count
                #expect(
                    abs(binomialDeviations(count, of: Self.keyCount, chance: share)) < 3.9,
                    "\(count) for \(share)")
                // A larger share samples the same keys, and more.
                #expect(smaller.allSatisfy { sampled.flags[$0] })
                smaller = sampled.numbers
                if share == 0.9 { continue }
                // Neighbours, such as numbers that follow each other, have nothing in common.
                for distance in [1, 2, 4, 5, 10, 16, 256] {
                    let off = sampled.correlation(sampled, distance: distance, share)
                    #expect(abs(off) < 4, "\(distance) apart for \(share)")
                }
                if share >= 0.1 { checkBlocks(sampled.numbers, share) }
                if share == 0.5 { atHalf.append(sampled) }
            }
        }
        // Another seed is another choice.
        #expect(abs(atHalf[0].correlation(atHalf[1], 0.5)) < 3.9)
        #expect(abs(atHalf[0].correlation(atHalf[2], 0.5)) < 3.9)
        #expect(abs(atHalf[1].correlation(atHalf[2], 0.5)) < 3.9)
    }

    /// Of each 100 keys about as many are sampled, and neither all too evenly.
    private func checkBlocks(_ numbers: [Int], _ share: Double) {
        let counts = Samples.tally(numbers.map { $0 / 100 }, below: Self.keyCount / 100)
        let scattered =
            ChiSquared.statistic(counts, counts.map { _ in 100 * share }) / (1 - share)
        #expect(ChiSquared.range(counts.count).contains(scattered))
    }

    // MARK: Keys, whole

    /// Keys with many lines in any order, and what of it is sampled.
    @Test(arguments: [0.05, 0.5, 0.8]) func allLinesOfAKeyOrNone(_ share: Double) throws {
        var random = SeededGenerator.usual(12)
        let lines = (0..<6000).map { _ in
            "{\"x\":\(random.next() % 1000),\"user\":{\"id\":\"u\(random.next() % 300)\"}}"
        }
        let user = { (line: String) in String(line.split(separator: "\"")[7]) }
        let options = "-p \(share) --key .user.id --seed 77"
        let output = try run("stream-sample", options, lines.joined(separator: "\n") + "\n").lines
        let users = Set(output.map(user))
        #expect((1..<300).contains(users.count))
        let isWhole = output == lines.filter { users.contains(user($0)) }
        #expect(isWhole)
        // In another process, with the lines in another order, through other options.
        let reversed = lines.reversed().joined(separator: "\n")
        let again = try run("stream-sample", options + " --strict", reversed).lines
        let isSame = again == output.reversed()
        #expect(isSame)
        let others = try run("stream-sample", options + " --invert", reversed).lines
        let isDisjoint = users.isDisjoint(with: others.map(user))
        #expect(isDisjoint)
        #expect(others.count + output.count == lines.count)
    }

    // MARK: The definition

    /// Values as they are written, and what is hashed.
    private static let values = [
        (#""abc""#, #""abc""#), (#""caf\u00e9""#, #""café""#), (#""café""#, #""café""#),
        (#""\u0063af\u00E9""#, #""café""#), (#""\ud834\udd1e""#, #""𝄞""#),
        (#""a\/b""#, #""a/b""#), (#""say \"x\"\\""#, #""say "x"\""#), (#""\n\t""#, "\"\n\t\""),
        (#""""#, #""""#), ("17", "17"), ("17.0", "17.0"), ("-1.5E+3", "-1.5E+3"),
        ("null", "null"), (#""null""#, #""null""#), ("true", "true"), ("[1, 2]", "[1, 2]"),
        (#"{ "a" : 1 }"#, #"{ "a" : 1 }"#), (#""\ud800""#, #""\ud800""#),
        // Around 32 bytes, from which on there are stripes.
        ("1234567890123456789012345678901", "1234567890123456789012345678901"),
        ("12345678901234567890123456789012", "12345678901234567890123456789012"),
        ("123456789012345678901234567890123", "123456789012345678901234567890123"),
        (
            #""a key that has stripes, words, \u0068alf a word and a rest""#,
            #""a key that has stripes, words, half a word and a rest""#
        ),
    ]

    /// The option's keys, a line and the bytes that are hashed.
    private static let definitions: [(keys: String, line: String, hashed: [UInt8])] =
        values.map { (".k", "{\"k\":\($0)}", Array($1.utf8)) } + [
            (".k", #"{"j":1}"#, Array("null".utf8)), (".k", "7", Array("null".utf8)),
            (".", "[1, 2]", Array("[1, 2]".utf8)), (".k[1]", #"{"k":[0,3]}"#, Array("3".utf8)),
            (".k", #" { "k" : 1 } "#, Array("1".utf8)),
            (".a,.b", #"{"a":"x","b":"y"}"#, Array(#""x""#.utf8) + [0xFF] + Array(#""y""#.utf8)),
            (".a,.b", #"{"a":"x\u0079","b":1}"#, Array(#""xy""#.utf8) + [0xFF] + Array("1".utf8)),
            (".a,.b", #"{"b":"\u0079"}"#, Array("null".utf8) + [0xFF] + Array(#""y""#.utf8)),
            (
                ".a,.b,.c", #"{"a":1,"b":2}"#,
                Array("1".utf8) + [0xFF] + Array("2".utf8) + [0xFF] + Array("null".utf8)
            ),
        ]

    @Test(arguments: definitions.indices) func definition(_ row: Int) throws {
        let (keys, line, hashed) = Self.definitions[row]
        for seed: UInt64 in [0, 42, UInt64(Int.max)] {
            let hash = ReferenceXXH64.hash(hashed, seed: seed)
            // The share that a Double has right below the hash, or at it, and the next one.
            let share = Double(sign: .plus, exponent: -64, significand: roundedDown(hash))
            for (share, isSampled) in [(share, false), (share.nextUp, true)] {
                let output = try run(
                    "stream-sample", ["-p", "\(share)", "--key", keys, "--seed", "\(seed)"],
                    (line + "\n").utf8)
                #expect(output.text == (isSampled ? line + "\n" : ""), "\(keys) \(seed)")
            }
        }
        let standard = ReferenceXXH64.hash(hashed, seed: 0)
        let share = Double(sign: .plus, exponent: -64, significand: roundedDown(standard))
        let output = try run(
            "stream-sample", ["-p", "\(share.nextUp)", "--key", keys], (line + "\n").utf8)
        #expect(output.text == line + "\n", "the seed is 0")
    }

    private func roundedDown(_ hash: UInt64) -> Double {
        let rounded = Double(hash)
        return rounded >= 0x1p64 || UInt64(rounded) > hash ? rounded.nextDown : rounded
    }

    /// A hash that a Double holds exactly is not below itself, and is below the next number.
    @Test func theShareIsALimitThatIsNotReached() throws {
        let numbers = (0..<20_000).lazy.map { number in
            (number, ReferenceXXH64.hash(Array("\(number)".utf8), seed: 0))
        }
        let (number, hash) = try #require(numbers.first { $0.1 < 1 << 53 })
        for (limit, count) in [(hash, 0), (hash + 1, 1), (hash - 1, 0)] {
            let share = Double(sign: .plus, exponent: -64, significand: Double(limit))
            let output = try run("stream-sample", "-p \(share) --key .", "\(number)\n")
            #expect(output.lines.count == count)
        }
    }

    /// All keys at once: the set that a program of one's own would choose.
    @Test(arguments: [(0.25, 0), (0.03, 5)]) func anybodyChoosesTheSame(
        _ share: Double, _ seed: Int
    ) throws {
        let expected = (0..<3000).filter {
            let hash = ReferenceXXH64.hash(Array("\"user \($0)\"".utf8), seed: UInt64(seed))
            return hash < UInt64(share * 0x1p64)
        }
        let lines = (0..<3000).map { "{\"u\":\"user \($0)\"}\n" }
        let output = try run(
            "stream-sample", "-p \(share) --key .u --seed \(seed)", lines.joined())
        #expect(output.text == expected.map { lines[$0] }.joined())
    }

    @Test func theReference() {
        let known: [(String, UInt64)] = [
            ("", 0xEF46_DB37_51D8_E999), ("a", 0xD24E_C4F1_A98C_6E5B),
            ("abc", 0x44BC_2CF5_AD77_0999), ("message digest", 0x066E_D728_FCEE_B3BE),
            ("Nobody inspects the spammish repetition", 0xFBCE_A83C_8A37_8BF1),
        ]
        for (text, hash) in known {
            #expect(ReferenceXXH64.hash(Array(text.utf8), seed: 0) == hash)
        }
        #expect(ReferenceXXH64.hash([], seed: 2_654_435_761) == 0xAC75_FDA2_929B_17EF)
    }
}

/// XXH64 step by step as in the xxHash algorithm description, version 0.1.1.
private enum ReferenceXXH64 {
    private static let primes: [UInt64] = [
        0, 0x9E37_79B1_85EB_CA87, 0xC2B2_AE3D_27D4_EB4F, 0x1656_67B1_9E37_79F9,
        0x85EB_CA77_C2B2_AE63, 0x27D4_EB2F_1656_67C5,
    ]

    static func hash(_ input: [UInt8], seed: UInt64) -> UInt64 {
        var rest = input[...]
        func read(_ count: Int) -> UInt64 {
            defer { rest = rest.dropFirst(count) }
            return rest.prefix(count).reversed().reduce(0) { $0 << 8 | UInt64($1) }
        }
        // Steps 1 to 3: accumulators, stripes, convergence.
        var acc = seed &+ primes[5]
        if input.count >= 32 {
            var lanes = [
                seed &+ primes[1] &+ primes[2], seed &+ primes[2], seed, seed &- primes[1],
            ]
            while rest.count >= 32 {
                for lane in 0..<4 { lanes[lane] = round(lanes[lane], read(8)) }
            }
            acc =
                rotate(lanes[0], 1) &+ rotate(lanes[1], 7) &+ rotate(lanes[2], 12)
                &+ rotate(lanes[3], 18)
            for lane in lanes { acc = (acc ^ round(0, lane)) &* primes[1] &+ primes[4] }
        }
        // Step 4: the length.
        acc &+= UInt64(input.count)
        // Step 5: the rest.
        while rest.count >= 8 {
            acc = rotate(acc ^ round(0, read(8)), 27) &* primes[1] &+ primes[4]
        }
        if rest.count >= 4 {
            acc = rotate(acc ^ (read(4) &* primes[1]), 23) &* primes[2] &+ primes[3]
        }
        while !rest.isEmpty { acc = rotate(acc ^ (read(1) &* primes[5]), 11) &* primes[1] }
        // Step 6: the final mix.
        acc = (acc ^ (acc >> 33)) &* primes[2]
        acc = (acc ^ (acc >> 29)) &* primes[3]
        return acc ^ (acc >> 32)
    }

    private static func round(_ acc: UInt64, _ lane: UInt64) -> UInt64 {
        rotate(acc &+ lane &* primes[2], 31) &* primes[1]
    }

    private static func rotate(_ word: UInt64, _ bits: UInt64) -> UInt64 {
        word << bits | word >> (64 - bits)
    }
}

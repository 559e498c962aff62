import Foundation
import Testing

/// stream-batch: whatever comes in and however commands fail, every line is delivered, rejected, a
/// dead letter, in the spill file or in the journal, and in one of them only.
@Suite(.serialized) struct DeliverPropertyTests {
    private static let rounds = 120

    /// Some options, and what they promise.
    private struct Choice {
        var options: [String] = []
        var retries = 0
        var bisects = false
        var hasLetters = false
        var hasJournal = false
        var format = "lines"
        var isText = false
        var keepsOrder = true

        init(_ random: inout SeededGenerator) {
            addBatches(&random)
            addForms(&random)
            addJobs(&random)
            addFailures(&random)
        }

        private mutating func addBatches(_ random: inout SeededGenerator) {
            let limits = [
                ["-n", "1"], ["-n", "3"], ["-n", "9"], ["-b", "150"], ["-n", "4", "-b", "99"],
            ]
            options += limits.randomElement(using: &random) ?? []
            if Int.random(in: 0..<3, using: &random) == 0 {
                options += ["--when", ".=1", "--oversize=reject", "-b", "120"]
            }
        }

        private mutating func addForms(_ random: inout SeededGenerator) {
            format =
                ["lines", "lines", "array", "json-seq", "object"]
                .randomElement(using: &random) ?? "lines"
            options += ["-f", format]
            switch Int.random(in: 0..<5, using: &random) {
            case 0:
                isText = true
                options.append("--text")
            case 1 where !options.contains("--when"): options.append("--no-validate")
            case 2:
                keepsOrder = false
                options += ["-k", ".k"]
            default: break
            }
            if isText && options.contains("--when") { options.removeAll { $0 == "--text" } }
        }

        private mutating func addJobs(_ random: inout SeededGenerator) {
            let jobs = Int.random(in: 1...4, using: &random)
            if jobs > 1 { options += ["-j", "\(jobs)"] }
            if Bool.random(using: &random) {
                options.append("--keep-order")
            } else if jobs > 1 {
                keepsOrder = false
            }
            if Int.random(in: 0..<4, using: &random) == 0 { options += ["--max-queue", "1"] }
        }

        private mutating func addFailures(_ random: inout SeededGenerator) {
            retries = Int.random(in: 0...2, using: &random)
            if retries > 0 { options += ["--retries", "\(retries)", "--backoff", "1ms..1ms"] }
            bisects = Bool.random(using: &random)
            if bisects { options.append("--bisect") }
            hasLetters = Int.random(in: 0..<3, using: &random) > 0
            if hasLetters { options += ["--dead-letter", "dead"] }
            if Int.random(in: 0..<3, using: &random) == 0 { options += ["--permanent", "2,3"] }
            hasJournal = Int.random(in: 0..<3, using: &random) == 0
            if hasJournal { options += ["--journal", "j"] }
        }
    }

    /// Fails by what it gets.
    private static let command = """
        case $(cat) in
        *perm*) exit 2 ;;
        *poison*) echo poisoned >&2; exit 3 ;;
        *flaky*) [ $BATCH_ATTEMPT = 1 ] && kill -9 $$ ;;
        esac
        exec cat /dev/stdin
        """

    /// Each has its number at `i`, also the spoilt ones.
    private func randomLine(_ index: Int, _ random: inout SeededGenerator) -> [UInt8] {
        let word =
            ["", "", "", "", "", "", "", "", "perm", "poison", "flaky"]
            .randomElement(using: &random) ?? ""
        let key = ["1", "\"a\"", "null"].randomElement(using: &random) ?? ""
        let text =
            "{\"i\":\(index),\"w\":\"\(word)\",\"k\":\(key),\"x\":"
            + randomJSON(&random, depth: 1).replacing("\\u0000", with: "") + "}"
        switch Int.random(in: 0..<20, using: &random) {
        case 0: return Array(text.dropLast().utf8)
        case 1: return Array(text.utf8) + [0xFF]
        case 2: return Array(" \(text)\r".utf8)
        default: return Array(text.utf8)
        }
    }

    @Test func everyLineIsInOnePlace() throws {
        var random = SeededGenerator.announced("everyLineIsInOnePlace")
        for _ in 0..<Self.rounds {
            let choice = Choice(&random)
            let lines = (0..<Int.random(in: 0...40, using: &random)).map {
                randomLine($0, &random)
            }
            try check(choice, lines)
        }
    }

    private func check(_ choice: Choice, _ lines: [[UInt8]]) throws {
        let place = try Workplace()
        var input = Array(lines.joined(separator: [0x0A]))
        if lines.count % 3 > 0 { input.append(0x0A) }
        try Data(input).write(to: URL(fileURLWithPath: place.folder.file("in")))
        let what: Comment = "\(choice) \(Data(input).base64EncodedString())"
        let options = choice.options + ["-q", "--rejects", "rejects", "in", "-x"]
        let result = try place.run(options + [Self.command])
        var all = ids(result.text)
        if choice.format == "lines" { checkVerbatim(result, lines, what) }
        if choice.keepsOrder && result.ending != .exit(69) {
            #expect(all == all.sorted(), what)
        }
        if result.ending == .exit(69) {
            #expect(!choice.hasLetters, what)
            all += try choice.hasJournal ? rest(place, options) : ids(place.spilled(result))
        }
        let rejected = ids(try place.lines("rejects").joined())
        let dead = ids(try place.lines("dead").joined())
        all += rejected + dead
        if result.ending != .exit(69) {
            #expect(result.ending == .exit(rejected.isEmpty && dead.isEmpty ? 0 : 1), what)
        }
        // A batch of which parts were delivered comes back from the journal as a whole.
        if choice.bisects && choice.hasJournal { all = Array(Set(all)) }
        #expect(all.sorted() == Array(lines.indices), what)
        checkLetters(choice, Set(dead), lines, what)
    }

    /// What stayed in the journal, and came with a command that works.
    private func rest(_ place: Workplace, _ options: [String]) throws -> [Int] {
        let result = try place.run(options + ["cat"])
        #expect([.exit(0), .exit(1)].contains(result.ending), "\(result.errors)")
        return ids(result.text)
    }

    private func checkVerbatim(_ result: Finished, _ lines: [[UInt8]], _ what: Comment) {
        let input = Set(lines.map { $0.last == 0x0D ? Array($0.dropLast()) : $0 })
        let output = result.output.split(separator: 0x0A).map(Array.init)
        #expect(output.allSatisfy(input.contains), what)
    }

    /// With --bisect the bad lines are dead letters, and no others.
    private func checkLetters(
        _ choice: Choice, _ dead: Set<Int>, _ lines: [[UInt8]], _ what: Comment
    ) {
        guard choice.bisects && choice.hasLetters else { return }
        let bad = lines.indices.filter { index in
            let text = String(decoding: lines[index], as: UTF8.self)
            return text.contains("\"perm\"") || text.contains("\"poison\"")
                || (text.contains("\"flaky\"") && choice.retries == 0)
        }
        #expect(dead.isSubset(of: bad), what)
    }

    /// The numbers of the lines in any form they are written in.
    private func ids(_ text: String) -> [Int] {
        var text = text
        while let found = text.firstMatch(of: #/"raw_base64":\[?("[^\]}]*")/#) {
            let parts = found.1.split(separator: ",").map { part in
                let data = Data(base64Encoded: String(part.dropFirst().dropLast())) ?? Data()
                return String(decoding: data, as: UTF8.self)
            }
            text.replaceSubrange(found.range, with: parts.joined(separator: "\n"))
        }
        return text.matches(of: #/{\\*"i\\*":(\d+),\\*"w\\*"/#).compactMap { Int($0.1) }
    }
}

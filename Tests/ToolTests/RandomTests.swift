import Foundation
import Testing

/// Whatever comes in: no crash, and what goes out is well-formed.
@Suite(.serialized) struct RandomTests {
    private static let rounds = 200

    @Test func decoding() throws {
        var random = SeededGenerator.announced("decoding")
        let forms = [
            "-r", "-d", "-j", "--all", "-d --get .a", "-j --all --dispatch-eof", "-d --reorder .a",
            "-r --dedup=3 --join-chunks", "-d --max-line 100 --on-error=skip", "-j -e !x -n 5",
        ]
        for round in 0..<Self.rounds {
            let input = round % 2 == 0 ? randomBytes(&random) : randomStream(&random)
            let form = forms[round % forms.count]
            let result = try run("sse-decode", words(form), input)
            #expect(
                [.exit(0), .exit(1), .exit(65)].contains(result.ending), "\(form) \(base64(input))")
            let check = try run("sse-encode", ["-d"], result.output)
            #expect(check.ending == .exit(0), "\(form) \(base64(input)): \(check.errors)")
        }
    }

    @Test func encoding() throws {
        var random = SeededGenerator.announced("encoding")
        let forms = ["-r", "-d", "-t", "-d --data-from .a --id-from .b", "-d --chunk 5 --id-seq"]
        for round in 0..<Self.rounds {
            var input = randomBytes(&random)
            if round % 2 == 1 {
                input = (0..<20).flatMap { _ in
                    var line = Array(randomJSON(&random, depth: 3).utf8)
                    if Bool.random(using: &random),
                        let place = line.indices.randomElement(using: &random)
                    {
                        line[place] = UInt8.random(in: 0...255, using: &random)
                    }
                    return line + [0x0A]
                }
            }
            let form = forms[round % forms.count] + " --on-error=skip"
            let result = try run("sse-encode", words(form), input)
            #expect(
                [.exit(0), .exit(1), .exit(65)].contains(result.ending), "\(form) \(base64(input))")
            let check = try run("sse-decode", ["-d"], result.output)
            #expect(check.ending == .exit(0), "\(form) \(base64(input)): \(check.errors)")
        }
    }

    /// With --invert come the lines that do not come without it, and of each line that was read
    /// it is known what became of it.
    @Test func sampling() throws {
        var random = SeededGenerator.announced("sampling")
        let forms = [
            "-n 5", "-n 3 --by .a --max-keys 2", "-n 4 --weight .a --shuffle", "-p 0.4",
            "-p 0.4 --key .a,.b", "--nth 3 --strict", "-t -n 4", "-t -p 0.5 --header 2",
            "--latest .a,.[1]", "--first .a --every 2s --time .b", "--distinct .", "--change .a,.b",
            "--change . --deadband 2", "--lttb 4 -y .a", "--m4 4 -x .b -y .a --by .c",
            "--rate 1/m --burst 2 --time .a", "--adapt 2/s --time .a --keep .b=1",
            "-p 0.3 --max-line 30", "-n 2 --by . --max-line 30 --max-depth 2", "--minmax 4 -y .",
            "-n 9 --by .a --max-memory 500", "--latest .a --max-memory 500",
        ]
        for round in 0..<Self.rounds {
            var input = round % 5 == 0 ? randomBytes(&random) : randomLines(&random)
            // It begins as text: gzip, UTF-16 and the like are rejected as a whole.
            input.insert(UInt8(ascii: "\n"), at: 0)
            let form = forms[round % forms.count] + " --seed \(round) --on-error=skip --stats -q"
            let sampled = try run("stream-sample", words(form), input)
            let others = try run("stream-sample", words(form) + ["--invert"], input)
            let what: Comment = "\(form) \(base64(input))"
            #expect([.exit(0), .exit(1), .exit(65)].contains(sampled.ending), what)
            #expect(sampled.ending == others.ending, what)
            if sampled.ending == .exit(65) { continue }
            let stats = sampled.stats
            let read = (stats["records_in"] ?? 0) - (stats["rejected"] ?? 0)
            let header = form.contains("--header") ? min(2, read) : 0
            let count = (sampled.output + others.output).count { $0 == 0x0A }
            #expect(count == read + header, what)
            #expect(stats["records_in"] == others.stats["records_in"], what)
        }
    }

    /// Lines of JSON, some of them with members a, b and c, and some of them spoilt.
    private func randomLines(_ random: inout SeededGenerator) -> [UInt8] {
        (0..<20).flatMap { _ in
            let members = ["a", "b", "c"].compactMap { name -> String? in
                switch Int.random(in: 0..<6, using: &random) {
                case 0: nil
                case 1: "\"\(name)\":" + randomJSON(&random, depth: 2)
                default: "\"\(name)\": \(Int.random(in: -1...4, using: &random))"
                }
            }
            var line = Array("{\(members.joined(separator: ","))}".utf8)
            if Int.random(in: 0..<5, using: &random) == 0 {
                line = Array(randomJSON(&random, depth: 2).utf8)
            }
            if Int.random(in: 0..<9, using: &random) == 0,
                let place = line.indices.randomElement(using: &random)
            {
                line[place] = UInt8.random(in: 0...255, using: &random)
            }
            return line + (Int.random(in: 0..<4, using: &random) == 0 ? [0x0D, 0x0A] : [0x0A])
        }
    }

    @Test func options() throws {
        var random = SeededGenerator.announced("options")
        let pieces = [
            "-", "--", "-r", "-d", "-z", "-n", "=", "5", "--count", "--event", "--get", ".a",
            "--stats",
            "--max-line=", "1K", "é", "-x", "--chunk=", "--id-seq", "--until", "-q", "-v", "''",
            "-p", "--every", "--keep", "--latest", "--rate", "-k", "--when", "--sliding", "-b",
            "--text",
        ]
        for _ in 0..<Self.rounds {
            let arguments = (0..<Int.random(in: 1...5, using: &random)).map { _ in
                (pieces.randomElement(using: &random) ?? "")
                    + (pieces.randomElement(using: &random) ?? "")
            }
            for tool in ["sse-encode", "sse-decode", "stream-sample", "stream-batch"] {
                let result = try run(tool, arguments, "".utf8)
                // 69: no such command.
                #expect(
                    [.exit(0), .exit(64), .exit(66), .exit(69), .exit(73)].contains(result.ending),
                    "\(arguments)")
            }
        }
    }
}

/// For a failure's message: `base64 -d` makes a file of it again.
private func base64(_ bytes: [UInt8]) -> String {
    Data(bytes).base64EncodedString()
}

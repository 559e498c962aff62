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

    @Test func options() throws {
        var random = SeededGenerator.announced("options")
        let pieces = [
            "-", "--", "-r", "-d", "-z", "-n", "=", "5", "--count", "--event", "--get", ".a",
            "--stats",
            "--max-line=", "1K", "é", "-x", "--chunk=", "--id-seq", "--until", "-q", "-v", "''",
        ]
        for _ in 0..<Self.rounds {
            let arguments = (0..<Int.random(in: 1...5, using: &random)).map { _ in
                (pieces.randomElement(using: &random) ?? "")
                    + (pieces.randomElement(using: &random) ?? "")
            }
            for tool in ["sse-encode", "sse-decode"] {
                let result = try run(tool, arguments, "".utf8)
                #expect(
                    [.exit(0), .exit(64), .exit(66), .exit(73)].contains(result.ending),
                    "\(arguments)")
            }
        }
    }
}

/// For a failure's message: `base64 -d` makes a file of it again.
private func base64(_ bytes: [UInt8]) -> String {
    Data(bytes).base64EncodedString()
}

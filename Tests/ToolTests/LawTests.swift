import Foundation
import Testing

/// The laws of the contract, through real pipes.
@Suite struct LawTests {
    /// What `sse-decode -r` must give back for a record: its event, id and data.
    private struct Dispatched: Equatable {
        var event: String
        var id: String?
        var data: String

        init(event: String, id: String?, data: String) {
            self.event = event
            self.id = id
            self.data = data
        }

        init(line: String) {
            let record = object(line)
            event = record["event"] as? String ?? "no event"
            id = record["id"] as? String
            data = record["data"] as? String ?? "no data"
        }
    }

    // MARK: sse-encode -r | sse-decode -r

    @Test func randomRecordsComeBack() throws {
        var random = SeededGenerator.announced("randomRecordsComeBack")
        for _ in 0..<10 {
            var lines = ""
            var expected: [Dispatched] = []
            var openID: String?
            for _ in 0..<200 {
                let (line, record, id) = Self.randomRecord(&random)
                lines += line + "\n"
                openID = id ?? openID
                if var record {
                    record.id = openID
                    expected.append(record)
                    openID = nil
                }
            }
            let stream = try run("sse-encode", "-r", lines)
            #expect(stream.ending == .exit(0))
            #expect(stream.errors.isEmpty)
            let back = try run("sse-decode", "-r", stream.text)
            let found = back.lines.map { Dispatched(line: $0) }
            #expect(found.count == expected.count)
            let index = zip(found, expected).enumerated().first { $1.0 != $1.1 }?.offset
            if let index { #expect(found[index] == expected[index], "record \(index)") }
            try #expect(runInPieces("sse-decode", "-r", stream.output, &random) == back.output)
        }
    }

    /// A record, what it dispatches, and its id. Records without data dispatch nothing.
    private static func randomRecord(
        _ random: inout SeededGenerator
    ) -> (line: String, dispatched: Dispatched?, id: String?) {
        var members: [String] = []
        var result = Dispatched(event: "message", id: nil, data: "")
        var hasData = false
        if Bool.random(using: &random) {
            let name = randomText(&random).filter { !"\n\r\u{0}\r\n".contains($0) }
            members.append("\"event\":" + quoted(name, &random))
            result.event = name.isEmpty ? "message" : name
        }
        if Bool.random(using: &random) {
            let id = randomText(&random).filter { !"\n\r\u{0}\r\n".contains($0) }
            members.append("\"id\":" + quoted(id, &random))
            result.id = id
        }
        switch Int.random(in: 0..<8, using: &random) {
        case 0: break
        case 1, 2:
            result.data = randomJSON(&random, depth: 3)
            members.append("\"data\":" + result.data)
            hasData = true
            // A JSON string is sent as its text.
            if result.data.first == "\"" { result.data = json(result.data) as? String ?? "?" }
        default:
            let text = randomText(&random)
            members.append("\"data\":" + quoted(text, &random))
            result.data = text
            hasData = true
        }
        result.data = withLineFeeds(result.data)
        if Int.random(in: 0..<9, using: &random) == 0 { members.append("\"channel\":\"c\"") }
        if hasData && Int.random(in: 0..<9, using: &random) == 0 { members.append("\"retry\":7") }
        members.shuffle(using: &random)
        let line = "{" + members.joined(separator: ",") + "}"
        return (line, hasData ? result : nil, result.id)
    }

    @Test func sampleRecordsComeBack() throws {
        let result = try shell("sse-encode -r records.jsonl | sse-decode -r")
        let records = try Files.sample("records.jsonl").split(separator: "\n").map {
            object(String($0))
        }.filter { $0["data"] != nil }
        #expect(result.lines.count == records.count)
        for (line, record) in zip(result.lines.map(object), records) {
            #expect(line["event"] as? String == record["event"] as? String ?? "message")
            #expect(line["id"] as? String == (record["id"].map { "\($0)" }))
            if let text = record["data"] as? String { #expect(line["data"] as? String == text) }
        }
    }

    // MARK: sse-decode | sse-encode | sse-decode

    @Test(arguments: ["-r", "-r --all", "-j", "-j --all"]) func samplesTwice(_ form: String) throws
    {
        for name in try Files.sampleNames(ending: ".sse") {
            let once = try run("sse-decode", "\(form) \(name)")
            let twice = try shell(
                "sse-decode \(form) \(name) | sse-encode -r | sse-decode \(form)")
            #expect(twice.output == once.output)
            #expect(twice.errors.isEmpty)
        }
    }

    @Test(arguments: ["", "--all"]) func randomStreamsTwice(_ option: String) throws {
        var random = SeededGenerator.announced("randomStreamsTwice")
        for _ in 0..<60 {
            let stream = randomStream(&random)
            let once = try run("sse-decode", words(option), stream)
            let again = try run("sse-encode", "-r", once.text)
            #expect(again.ending == .exit(0))
            #expect(try run("sse-decode", words(option), again.output).output == once.output)
        }
    }

    @Test func allOfTheSampleRecordsComeBack() throws {
        let result = try shell("sse-encode records.jsonl | sse-decode --all -j")
        let all = try Files.sample("records.jsonl").split(separator: "\n").map {
            object(String($0))
        }
        #expect(result.lines.count == all.count)
        for (line, record) in zip(result.lines.map(object), all) {
            #expect(line["comment"] as? String == record["comment"] as? String)
            #expect(line["retry"] as? Int == record["retry"] as? Int)
        }
    }

    // MARK: sse-encode -d | sse-decode -d

    @Test(arguments: ["access.jsonl", "agent.jsonl", "metrics.jsonl", "records.jsonl"])
    func dataIsIdentity(_ name: String) throws {
        for pipeline in [
            "sse-encode -d \(name) | sse-decode -d", "sse-encode -dz \(name) | sse-decode -d",
            "sse-encode -d --id-seq -e x --retry 1 \(name) | sse-decode -d",
        ] {
            let result = try shell(pipeline)
            #expect(try result.text == Files.sample(name))
            #expect(result.errors.isEmpty)
        }
    }

    @Test func randomDataIsIdentity() throws {
        var random = SeededGenerator.announced("randomDataIsIdentity")
        for _ in 0..<10 {
            let lines = (0..<200).map { _ in randomJSON(&random, depth: 4) + "\n" }.joined()
            let stream = try run("sse-encode", "-d", lines)
            #expect(stream.ending == .exit(0))
            #expect(try run("sse-decode", ["-d"], stream.output).text == lines)
            try #expect(
                runInPieces("sse-encode", "-d", Array(lines.utf8), &random) == stream.output)
        }
    }

    @Test func bytesPassVerbatim() throws {
        let lines =
            #"{"a":1,"a":1e1000,"b":-0,"c":1.0,"d":"\ud800","e":"\u0069d"}"# + "\n"
            + " [ 1 , 2 ]\t\n" + "  \"x\"  \n" + "123456789012345678901234567890.5e-7\n"
        #expect(try run("sse-encode", "-d", lines).ending == .exit(0))
        let back = try run("sse-decode", "-d", run("sse-encode", "-d", lines).text)
        #expect(back.text == lines)
    }
}

/// The text as it comes back: CR and CR LF become LF. Scalars, for Swift takes CR LF for one
/// character.
private func withLineFeeds(_ text: String) -> String {
    var result = String.UnicodeScalarView()
    var before: Unicode.Scalar?
    for scalar in text.unicodeScalars {
        if scalar == "\r" || (scalar == "\n" && before != "\r") {
            result.append("\n")
        } else if scalar != "\n" {
            result.append(scalar)
        }
        before = scalar
    }
    return String(result)
}

/// What a tool writes when its input comes in random pieces.
private func runInPieces(
    _ tool: String, _ arguments: String, _ input: [UInt8], _ random: inout SeededGenerator
) throws -> [UInt8] {
    let session = try start(tool, arguments)
    var rest = input[...]
    for _ in 0..<40 where !rest.isEmpty {
        let size = min(rest.count, Int.random(in: 1...400, using: &random))
        session.write(rest.prefix(size))
        rest = rest.dropFirst(size)
        usleep(300)
    }
    session.write(rest)
    session.closeInput()
    return session.finish().output
}

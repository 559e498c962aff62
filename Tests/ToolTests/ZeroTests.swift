import Glibc
import Testing

/// 0 as the value of an option: taken where it has one plain meaning, at once or never or none,
/// refused where it could be a slip or taken for two things. Each option of each tool that takes a
/// duration or a count stands in one of the lists.
@Suite struct ZeroTests {
    struct Row: CustomTestStringConvertible, Sendable {
        var tool: String
        var taken: String
        var refused: String

        var testDescription: String { tool }
    }

    private static let common = Row(
        tool: "", taken: "metrics-interval", refused: "max-depth max-ratio gzip")

    private static let rows: [Row] = [
        Row(tool: "sse-encode", taken: "id-seq retry heartbeat", refused: ""),
        Row(
            tool: "sse-decode",
            taken: "count retries state-interval idle-timeout max-time connect-timeout",
            refused: "dedup window by-keys max-wait join-chunks join-wait reset-after poll-for"),
        Row(
            tool: "stream-sample", taken: "count offset seed max-gap header",
            refused: "nth lttb minmax m4 burst smoothing every max-keys"),
        Row(
            tool: "stream-batch",
            taken: "late max-gap offset idle-close timeout kill-after grace retries",
            refused: "count max-age idle max-keys sliding jobs max-queue dedup-keys dedup-for"
                + " window by-keys max-wait join-chunks watermark-idle watermark-keys"),
        Row(
            tool: "stream-serve",
            taken: "heartbeat ping history slow-after send-timeout flush-interval drain",
            refused: "workers retry pong-timeout compress-level history-age buffer max-connections"
                + " max-per-address head-timeout body-timeout max-subscriptions"),
        Row(
            tool: "ws-cat",
            taken: "ping idle-timeout retries wait max-time connect-timeout close-timeout",
            refused: "compress-level window-bits pong-timeout reset-after buffer max-connections"
                + " count close-code"),
    ]

    @Test(arguments: rows) func isTakenOrRefused(_ row: Row) throws {
        for option in words(row.taken + " " + Self.common.taken) {
            let result = try run(row.tool, "--\(option)=0 --help")
            #expect(result.ending == .exit(0), "--\(option)=0: \(result.errors)")
        }
        for option in words(row.refused + " " + Self.common.refused) {
            let result = try run(row.tool, "--\(option)=0 --help")
            #expect(result.ending == .exit(64), "--\(option)=0 is taken")
            #expect(result.errors.hasPrefix("\(row.tool): option '--\(option)': expected "))
        }
    }

    /// A new option is decided on, too.
    @Test(arguments: rows) func nothingIsLeftOut(_ row: Row) throws {
        let number = #/--([a-z0-9-]+)\[?=(?:DURATION|COUNT|N|MS|K|START|LEVEL|CODE)\]?(?:\s|$)/#
        let help = try run(row.tool, "--help").lines
        let options = Set(help.compactMap { $0.firstMatch(of: number).map { String($0.1) } })
        let listed = [row, Self.common].flatMap { words("\($0.taken) \($0.refused)") }
        #expect(options == Set(listed))
    }

    // MARK: What it means

    @Test func noLateLinesAsWithoutTheOption() throws {
        let lines = "{\"t\":1}\n{\"t\":11}\n{\"t\":2}\n{\"t\":12}\n"
        let plain = try run("stream-batch", "--time .t -t 10s", lines)
        let zero = try run("stream-batch", "--time .t -t 10s --late 0", lines)
        #expect(zero.text == plain.text)
        #expect(zero.ending == plain.ending)
        #expect(zero.ending == .exit(1))
    }

    @Test func noGapIsTooLarge() throws {
        let lines = "{\"t\":1}\n{\"t\":4000000000}\n"
        for options in ["stream-batch --time .t -t 1h", "stream-sample --time .t --rate 1/h"] {
            let tool = words(options)[0]
            let arguments = Array(words(options).dropFirst())
            #expect(try run(tool, arguments, lines.utf8).ending == .exit(65))
            let zero = try run(tool, arguments + ["--max-gap", "0"], lines.utf8)
            #expect(zero.ending == .exit(0))
            #expect(zero.lines.count == 2)
        }
    }

    @Test func noTimeIsNoTimeout() throws {
        let place = try Workplace()
        let result = try place.run("-n 1 --timeout 0", "sleep 0.1; cat", "1\n")
        #expect(result.text == "[1]\n")
        #expect(result.ending == .exit(0))
    }

    @Test func killedAtOnce() throws {
        let place = try Workplace()
        let result = try place.run(
            "-n 1 --timeout 100ms --kill-after 0 --dead-letter dead",
            "trap '' TERM; while :; do sleep 1; done", "1\n")
        #expect(result.ending == .exit(1))
        #expect(try place.letters().count == 1)
    }

    @Test func noGrace() throws {
        let place = try Workplace()
        let session = try place.start(
            "-n 1 --grace 0 --dead-letter dead", "touch started; exec sleep 600")
        session.write("1\n")
        #expect(place.waitFor("started"))
        session.send(SIGTERM)
        #expect(session.finish().ending == .signal(SIGTERM))
        #expect(
            try place.letters().map { $0["error"] as? String } == [
                "stopped before it was delivered"
            ])
    }

    @Test func noHeartbeat() throws {
        let session = try start("sse-encode", "-d --heartbeat 0")
        session.write("1\n")
        #expect(session.prints("data: 1\n\n"))
        session.closeInput()
        #expect(session.finish().text == "data: 1\n\n")
    }

    @Test func metricsAtTheEnd() throws {
        let folder = try TemporaryFolder()
        let file = folder.file("m.prom")
        let result = try run(
            "stream-sample", "-p1 --metrics-interval 0 --metrics-file \(file)", "1\n")
        #expect(result.ending == .exit(0))
        let metric = "records_out_total{tool=\"stream-sample\",name=\"m\"} 1\n"
        #expect(try folder.read("m.prom").contains(metric))
    }

    @Test func noLimitForAConnection() throws {
        let run = try talk("-t --max-time 0 --idle-timeout 0 --connect-timeout 0 --wait 0", "a\n")
        #expect(run.texts == ["a"])
        #expect(run.result.ending == .exit(0))
    }
}

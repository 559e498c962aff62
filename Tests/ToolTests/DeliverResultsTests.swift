import Testing

/// stream-batch --results: a command says which of its items failed; and --command-rate.
@Suite(.serialized) struct DeliverResultsTests {
    private let place: Workplace

    init() throws { place = try Workplace() }

    /// Runs it with lines, letters and counters.
    private func run(_ options: String, _ line: String, _ input: String) throws -> Finished {
        try place.run(
            "-f lines --results --dead-letter dead --stats --backoff 1ms..2ms " + options, line,
            input)
    }

    @Test func onlyItemsThatFailedAreDeadLetters() throws {
        let result = try run(
            "-n 4",
            #"cat; [ $BATCH_SEQ = 1 ] && printf '{"item":%s,"retry":false,"error":"%s"}\n' 2 x 3 "#
                + "y 4 x >&3; exit 0", numbers(1...6))
        #expect(result.ending == .exit(1))
        #expect(result.text == numbers(1...6))
        let letters = try place.letters()
        #expect(letters.map { $0["items"] as? [Int] } == [[2, 4], [3]])
        #expect(letters.map { $0["part"] as? String } == ["2-2,4-4", "3-3"])
        #expect(letters.map { $0["error"] as? String } == ["x", "y"])
        #expect(letters.allSatisfy { $0["attempts"] as? Int == 1 && $0["status"] == nil })
        #expect(result.counter("records_out") == 3)
        #expect(result.counter("dead_lettered") == 3)
        #expect(result.counter("failed_items") == 3)
        #expect(result.counter("failed_attempts") == 0)
    }

    @Test func onlyItemsThatFailedAreTriedAgain() throws {
        let result = try run(
            "-n 7 --retries 2",
            "echo $BATCH_PART $BATCH_COUNT $BATCH_ATTEMPT $BATCH_RESULT_FD >> log; cat >> log;"
                + #" [ $BATCH_ATTEMPT = 1 ] && printf '{"item":%s}\n' 2 5 6 7 >&3;"#
                + #" [ $BATCH_ATTEMPT = 2 ] && echo '{"item":3,"retry":true}' >&3; exit 0"#,
            numbers(1...7))
        #expect(result.ending == .exit(0))
        #expect(
            try place.lines("log") == [
                "1-7 7 1 3", "1", "2", "3", "4", "5", "6", "7",
                "2-2,5-7 4 2 3", "2", "5", "6", "7", "6-6 1 3 3", "6",
            ])
        #expect(result.counter("records_out") == 7)
        #expect(result.counter("failed_items") == 5)
    }

    /// Tried as often as --retries says, then a dead letter with what was wrong.
    @Test(arguments: ["", "--bisect", "--breaker 5:5ms", "--keep-order -j 2"])
    func itemsThatKeepFailing(_ options: String) throws {
        let result = try run(
            "-n 3 --retries 2 " + options,
            #"grep -n . | sed -n 's/^\(.*\):[48]$/{"item":\1,"error":"no"}/p' >&3"#,
            numbers(1...12))
        #expect(result.ending == .exit(1))
        let letters = try place.letters()
        #expect(
            letters.compactMap { $0["items"] as? [Int] }.sorted { $0[0] < $1[0] } == [[4], [8]])
        #expect(letters.allSatisfy { $0["error"] as? String == "no" })
        #expect(result.counter("records_out") == 10)
    }

    /// The receiver says when: later than the backoff would.
    @Test(arguments: [
        (#"{"retry_after":0.3}"#, 0), (#"{"retry_after":"0.3"}"#, 1),
        (#"{"item":1}\n{"retry_after":3e-1}"#, 0),
    ]) func retryAfter(_ lines: String, _ status: Int) throws {
        let began = now()
        let result = try run(
            "-n 2 --retries 1",
            "[ $BATCH_ATTEMPT = 2 ] || { printf '\(lines)\\n' >&3; exit \(status); }",
            numbers(1...2))
        #expect(now() - began >= 0.3)
        #expect(result.ending == .exit(0))
        #expect(result.counter("records_out") == 2)
    }

    /// A mistake in the command buries nothing.
    @Test(arguments: [
        ("{\"item\":1,\"retries\":1}", "line 1: unknown member 'retries'"),
        ("\\n{\"item\":3}", "line 2: item 3, expected a number from 1 to 2"),
        ("{\"item\":0}", "line 1: item 0, expected"), ("{\"item\":\"1\"}", "line 1: item \"1\","),
        ("{\"item\":1}\\n{\"item\":1}", "line 2: item 1 a second time"),
        ("{\"retry\":true}", "line 1: neither item nor retry_after"), ("[]", "expected an object"),
        ("{\"item\":1", "expected more, the JSON text ends here"), ("oops", "byte 1: expected a"),
        ("{\"item\":1,\"retry\":\"no\"}", "retry is true or false"),
        ("{\"retry_after\":-1}", "retry_after is a number of seconds"),
    ]) func mistakes(_ text: String, _ reason: String) throws {
        for options in ["", "--breaker 1:1ms", "--bisect"] {
            _ = try place.shell("rm -f log *.jsonl")
            let result = try run(
                "-n 2 --retries 1 " + options, "echo x >> log; printf '\(text)' >&3",
                numbers(1...3))
            #expect(result.ending == .exit(69))
            #expect(result.errors.contains(reason), "\(result.errors)")
            #expect(result.errors.contains("batch 1 cannot be delivered: what it wrote to"))
            #expect(try place.lines("log").count == 2)
            #expect(try place.letters().isEmpty)
            #expect(try place.spilled(result) == numbers(1...3))
        }
    }

    /// What the items of a failed attempt are said to be does not count.
    @Test func resultsOfAFailedAttempt() throws {
        let result = try run(
            "-n 2", #"echo '{"item":1,"retry":false}' >&3; exit 1"#, numbers(1...2))
        #expect(result.ending == .exit(1))
        #expect(try place.letters().map { $0["items"] as? [Int] } == [[1, 2]])
    }

    @Test func descriptorThreeIsThereOnlyWithResults() throws {
        let line = "{ true >&3; } 2>/dev/null && echo open; echo ${BATCH_RESULT_FD-none}"
        #expect(try run("-n 1", line, "1\n").text == "open\n3\n")
        let without = try place.start(
            ["-n", "1", "-x", line], environment: ["BATCH_RESULT_FD": "7"])
        without.write("1\n")
        without.closeInput()
        #expect(without.finish().text == "none\n")
        // A command that runs beside another has no descriptor of that one.
        let fds = try run(
            "-n 1 -j 4 --keep-order", "ls /proc/self/fd | wc -l; sleep 0.05", numbers(1...8))
        #expect(Set(fds.lines).count == 1, "\(fds.lines)")
    }

    @Test func resultsHaveALimit() throws {
        for line in ["yes >&3", "yes | head -c 2000 >&3"] {
            let result = try run("-n 1 --retries 1 --max-output 1000", line, "1\n")
            #expect(result.ending == .exit(69))
            #expect(
                result.errors.contains("is no result: more than 1000 bytes (see --max-output)"))
            #expect(try place.letters().isEmpty)
            #expect(try place.spilled(result) == "1\n")
            #expect(result.counter("deliveries") == 2)
            _ = try place.shell("rm *.jsonl")
        }
    }

    @Test func resultsExcludeAggregates() throws {
        let result = try place.run("-n 1 -a count --results", "true", "1\n")
        #expect(result.ending == .exit(64))
        #expect(result.errors.contains("--aggregate and --results exclude each other"))
    }

    /// What was not delivered is spilled, in order.
    @Test func whatIsLeftIsSpilled() throws {
        let result = try place.run(
            "-f lines -n 5 --results", #"printf '{"item":%s,"retry":false}\n' 2 4 >&3"#,
            numbers(1...7))
        #expect(result.ending == .exit(69))
        #expect(try place.spilled(result) == "2\n4\n6\n7\n")
    }

    // MARK: --command-rate

    /// 11 starts at 20 a second take half a second at least, retries included.
    @Test(arguments: ["20/s", "1200/m"]) func commandsAreStartedAtARate(_ rate: String) throws {
        let began = now()
        let result = try place.run(
            "-n 1 -f lines -j 4 --retries 1 --backoff 1ms..1ms --stats --command-rate " + rate,
            "[ $BATCH_SEQ != 1 ] || [ $BATCH_ATTEMPT = 2 ] && cat", numbers(1...10))
        #expect(now() - began >= 0.5)
        #expect(result.ending == .exit(0))
        #expect(result.lines.count == 10)
        #expect(result.counter("deliveries") == 11)
        #expect((1...10).contains(result.counter("rate_limited")))
    }
}

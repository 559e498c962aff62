import Glibc
import Testing

/// stream-batch: what a command gets, and what becomes of what it writes.
@Suite(.serialized) struct DeliverTests {
    private let place: Workplace

    init() throws { place = try Workplace() }

    // MARK: What a command gets

    @Test(arguments: [
        ("", "[1,2]\n[3]\n"), ("-f lines", "1\n2\n3\n"),
        ("-f json-seq", "\u{1E}[1,2]\n\u{1E}[3]\n"),
        ("--text", "[\"1\",\"2\"]\n[\"3\"]\n"), ("-f lines --separator=x", "1\n2\n3\n"),
        ("-a count -f array", "{\"count\":2}\n{\"count\":1}\n"),
    ]) func theBatchIsStandardInput(_ options: String, _ output: String) throws {
        let result = try place.run(options + " -n 2", "cat", numbers(1...3))
        #expect(result.text == output)
        #expect(result.ending == .exit(0))
        #expect(result.errors.isEmpty)
    }

    @Test func theCommandMayFollowOperands() throws {
        _ = try place.folder.write("1\n2\n", to: "a")
        _ = try place.folder.write("3\n", to: "b")
        let result = try place.run(
            ["a", "-n", "2", "b", "-f", "lines", "--", "sh", "-c", "cat; echo $1 $0", "-n", "--"])
        #expect(result.text == "1\n2\n-- -n\n3\n-- -n\n")
        #expect(result.ending == .exit(0))
    }

    /// Without a shell: words are words.
    @Test func theCommandHasNoShell() throws {
        let result = try place.run(["-n1", "--", "echo", "$HOME", "a  b", "*", ""], "1\n")
        #expect(result.text == "$HOME a  b * \n")
        // A line that begins with a hyphen is no option of sh.
        let shell = try place.run("-n1", "-n; echo x", "1\n")
        #expect(shell.text == "x\n")
        #expect(shell.errors.contains("not found"))
    }

    @Test func standardInputIsAFile() throws {
        let line = "stat -L -c %s /dev/stdin; cat; cat; echo $BATCH_BYTES"
        let result = try place.run("-n 3 -f lines", line, numbers(8...10))
        #expect(result.text == "7\n8\n9\n10\n7\n")
        let twice = try place.run("-n 9 -f lines", "cat; cat /dev/stdin", numbers(1...2))
        #expect(twice.text == "1\n2\n1\n2\n")
    }

    @Test func aLargeBatchIsWhole() throws {
        let input = numbers(1...200_000)
        let result = try place.run("-f lines", "echo $BATCH_COUNT $BATCH_BYTES; cat", input)
        #expect(result.text == "200000 \(input.utf8.count)\n" + input)
        #expect(result.ending == .exit(0))
    }

    @Test func noDescriptorLeaks() throws {
        // What the tool itself was started with is none of its business.
        let list = "ls /proc/self/fd | tr '\\n' ' '"
        let inherited = try place.shell(list).text
        let result = try place.run(
            "-n 1 -j 4 --journal j --rejects r --dead-letter dead --metrics-file m",
            "sleep 0.0$BATCH_SEQ; " + list, numbers(1...8))
        #expect(result.text == String(repeating: inherited + "\n", count: 8))
        let places = try place.run("-n 1", "readlink /proc/self/fd/0 /proc/self/fd/1", "1\n")
        #expect(places.lines[0].hasPrefix("/memfd:"))
        #expect(places.lines[1].hasPrefix("pipe:"))
    }

    @Test func signalsHaveTheirDefaults() throws {
        for shell in ["", "trap '' INT PIPE; "] {
            let result = try place.shell(
                shell + "stream-batch -n 1 -- grep -E 'Sig(Blk|Ign)' /proc/self/status", "1\n")
            #expect(result.lines.count == 2)
            for line in result.lines {
                let mask = try #require(UInt64(line.dropFirst(8), radix: 16))
                // Above them are those of the C library and of real time.
                #expect(mask & 0x7FFF_FFFF == 0)
            }
        }
    }

    @Test func theCommandLeadsAProcessGroup() throws {
        let result = try place.run(
            "-n 1",
            "read -r pid name state parent group rest < /proc/$$/stat;"
                + " [ $pid = $group ] && [ $parent = $PPID ] && echo yes", "1\n")
        #expect(result.text == "yes\n")
    }

    // MARK: Its environment

    @Test func theEnvironmentSaysWhichBatch() throws {
        let session = try place.start(
            "-n 2 -k .k", "env | grep ^BATCH | sort",
            environment: ["BATCH_KEY": "old", "BATCH_SIZE": "mine", "BATCH_PART": "old"])
        session.write("{\"k\":\"x y\"}\n{\"k\":1}\n{\"k\":\"x\\u0020y\"}\n")
        session.closeInput()
        let first = [
            "BATCH_ATTEMPT=1", "BATCH_BYTES=31", "BATCH_COUNT=2", "BATCH_KEY=x y",
            "BATCH_PART=1-2", "BATCH_SEQ=1", "BATCH_SIZE=mine",
        ]
        let second = [
            "BATCH_ATTEMPT=1", "BATCH_BYTES=10", "BATCH_COUNT=1", "BATCH_KEY=1",
            "BATCH_PART=1-1", "BATCH_SEQ=2", "BATCH_SIZE=mine",
        ]
        // These three are tested where their values are known: DeliverFormTests.
        let lines = session.finish().lines
        let others = lines.filter { $0.contains(#/^BATCH_(?:RUN|FROM|TO)=/#) }
        #expect(others.count == 6)
        #expect(lines.filter { !others.contains($0) } == first + second)
    }

    @Test(arguments: [
        ("-k .k", #"{"k":"a\"\\\u00e9\n"}"#, "a\"\\é\n|"), ("-k .k", #"{"k":1.50}"#, "1.50|"),
        ("-k .k", #"{"k":null}"#, "null|"), ("-k .k", "{}", "null|"), ("-k .k", #"{"k":""}"#, "|"),
        ("-k .k", #"{"k":{"a": [1]}}"#, #"{"a": [1]}|"#), ("-k .k", #"{"k":true}"#, "true|"),
        ("-k .a,.b", #"{"a":"x","b":2}"#, #"["x",2]|"#), ("-k .a,.b", "{}", "[null,null]|"),
        ("-k .k", #"{"k":"a\u0000b"}"#, "unset"), ("", "{}", "unset"),
    ]) func theKeyIsText(_ options: String, _ line: String, _ text: String) throws {
        let command =
            "if [ -n \"${BATCH_KEY+x}\" ]; then printf '%s|\\n' \"$BATCH_KEY\";"
            + " else echo unset; fi"
        let result = try place.run(options, command, line + "\n")
        #expect(result.text == text + "\n")
        #expect(result.ending == .exit(0))
    }

    /// Linux refuses a variable longer than 128 KiB.
    @Test func aKeyMayBeTooLongForTheEnvironment() throws {
        for (count, length) in [(100_000, "100000\n"), (100_001, "0\n")] {
            let key = String(repeating: "k", count: count)
            let result = try place.run("-k .", "echo ${#BATCH_KEY}", "\"\(key)\"\n")
            #expect(result.text == length)
            #expect(result.ending == .exit(0))
        }
    }

    // MARK: What it writes

    @Test func outputStaysWhole() throws {
        let line = "echo a$BATCH_SEQ; sleep 0.01; cat; sleep 0.01; echo z$BATCH_SEQ"
        let result = try place.run("-n 2 -j 8 -f lines", line, numbers(1...80))
        #expect(result.ending == .exit(0))
        let lines = result.lines
        #expect(lines.count == 160)
        for start in stride(from: 0, to: lines.count - 3, by: 4) {
            let seq = Int(lines[start].dropFirst()) ?? 0
            #expect(
                Array(lines[start...(start + 3)])
                    == ["a\(seq)", "\(2 * seq - 1)", "\(2 * seq)", "z\(seq)"])
        }
    }

    @Test func moreThanAPipeHolds() throws {
        let result = try place.run("-n 1 -j 2", "head -c 3000000 /dev/zero", numbers(1...4))
        #expect(result.output.count == 12_000_000)
        #expect(result.ending == .exit(0))
        let errors = try place.run(
            "-n 1", "head -c 3000000 /dev/zero | tr '\\0' x >&2; head -c 3000000 /dev/zero", "1\n")
        #expect(errors.errors.utf8.count { $0 == UInt8(ascii: "x") } == 3_000_000)
        #expect(errors.output.count == 3_000_000)
    }

    @Test func outputHasALimit() throws {
        for (limit, line) in [
            ("1000", "head -c 1001 /dev/zero"), ("0", "echo"),
            ("10K", "yes"),
        ] {
            let result = try place.run("-n 1 --max-output \(limit)", line, "1\n")
            #expect(result.ending == .exit(69))
            #expect(result.output.isEmpty)
            #expect(result.errors.contains("wrote more than"))
            #expect(try place.spilled(result) == "1\n")
        }
        let result = try place.run("-n 1 --max-output 1000", "head -c 1000 /dev/zero", "1\n")
        #expect(result.output.count == 1000)
        #expect(result.ending == .exit(0))
    }

    @Test func whatAFailedAttemptWroteIsThrownAway() throws {
        let result = try place.run(
            "-n 1 --retries 2 --backoff 1ms..1ms",
            "echo $BATCH_ATTEMPT; echo e >&2; [ $BATCH_ATTEMPT = 3 ]", numbers(1...2))
        #expect(result.text == "3\n3\n")
        #expect(result.errors == String(repeating: "e\n", count: 6))
        #expect(result.ending == .exit(0))
    }

    @Test func standardErrorIsPassedOnByLines() throws {
        let result = try place.run(
            "-n 1 -j 4", "printf abc >&2; sleep 0.02; printf 'def\\nno end' >&2", numbers(1...8))
        #expect(
            result.errors.split(separator: "\n").sorted()
                == (Array(repeating: "abcdef", count: 8) + Array(repeating: "no end", count: 8)))
    }

    /// Feeding a command that does not read must not wait for it, nor kill the tool.
    @Test func aCommandNeedNotRead() throws {
        let result = try place.run("-n 100000", "exit 0", numbers(1...300_000))
        #expect(result.ending == .exit(0))
        let part = try place.run("-n 100000 -f lines", "head -n 1", numbers(1...300_000))
        #expect(part.text == "1\n100001\n200001\n")
    }

    @Test func whatACommandLeavesRunningIsNotWaitedFor() throws {
        let result = try place.run(
            "-n 1", "sleep 30 & echo $! >> pids; echo hi", numbers(1...3))
        for pid in try place.lines("pids") { kill(try #require(pid_t(pid)), SIGKILL) }
        #expect(result.text == "hi\nhi\nhi\n")
        #expect(result.ending == .exit(0))
    }

    @Test func aCommandMayCloseItsOutputAndGoOn() throws {
        let result = try place.run("-n 1", "exec >&- 2>&-; sleep 0.2; echo x >> log", "1\n2\n")
        #expect(result.ending == .exit(0))
        #expect(try place.lines("log") == ["x", "x"])
    }

    @Test func nothingIsLeftBehind() throws {
        let line =
            "ls /proc/$PPID/fd | wc -l; cat /proc/[0-9]*/stat 2>/dev/null"
            + " | awk -v p=$PPID '$4 == p && $3 == \"Z\"' | wc -l"
        let result = try place.run("-n 1", line, numbers(1...60))
        let (open, zombies) = (
            result.lines.enumerated().filter { $0.offset % 2 == 0 },
            result.lines.enumerated().filter { $0.offset % 2 == 1 }
        )
        // Three are closed just behind the start of a command, which may be faster.
        let counts = open.compactMap { Int($0.element) }
        #expect((counts.max() ?? 99) - (counts.min() ?? 0) <= 3)
        #expect(zombies.allSatisfy { $0.element == "0" } && zombies.count == 60)
    }

    @Test func noInputStartsNothing() throws {
        let result = try place.run("--stats", "touch started", "")
        #expect(result.ending == .exit(0))
        #expect(result.counter("deliveries") == 0)
        #expect(!place.has("started"))
    }

    /// With --log-format=json all of standard error is JSON Lines.
    @Test func whatACommandSaysIsARecord() throws {
        let result = try place.run(
            "-n 1 --log-format json", "echo 'no \"such\" table' >&2; printf 'half' >&2", "1\n")
        #expect(result.ending == .exit(0))
        let records = try result.errors.split(separator: "\n").map {
            try #require(json(String($0)) as? [String: Any], "\($0)")
        }
        #expect(records.map { $0["message"] as? String } == ["no \"such\" table", "half"])
    }
}

import Testing

/// Files, standard input and gzip.
@Suite struct OperandTests {
    @Test(arguments: rows) func reads(_ row: Case) throws { try row.check() }

    private static let open = "{\"market\":\"open\"}\n{\"market\":\"closed\"}\n"

    private static let rows: [Case] = [
        .decode(
            "several operands, - among them", "-d -e status -e x prices.sse - prices.sse",
            "event: x\ndata: 1\n\n", output: open + "1\n" + open),
        .decode(
            "a missing operand comes after what is before it", "-d -e status prices.sse none.sse -",
            "event: status\ndata: 1\n\n", output: open, status: 66,
            errors: "sse-decode: none.sse: No such file or directory\n"),
        .decode(
            "a missing operand can be skipped", "-d --on-error=skip none.sse -", "data: 1\n\n",
            output: "1\n", status: 1,
            errors: "sse-decode: none.sse: No such file or directory\nsse-decode: 1 rejected\n"),
        .decode(
            "a directory cannot be read", "-d .", output: "", status: 66,
            errors: "sse-decode: .: Is a directory\n"),
        .encode(
            "nor written from", "-d .", output: "", status: 66,
            errors: "sse-encode: .: Is a directory\n"),
        .encode(
            "missing for sse-encode", "-d - none", "1\n", output: "data: 1\n\n", status: 66,
            errors: "sse-encode: none: No such file or directory\n"),
        .encode(
            "an operand that begins with a dash", "-d -- -x", output: "", status: 66,
            errors: "sse-encode: -x: No such file or directory\n"),
        .encode("options after operands", "- -d", "1\n", output: "data: 1\n\n"),
        .sample(
            "a directory is no sample", "-n 1 .", output: "", status: 66,
            errors: "stream-sample: .: Is a directory\n"),
        .sample(
            "a missing operand of stream-sample", "--nth 2 - none -", "1\n2\n3", output: "1\n3\n",
            status: 66, errors: "stream-sample: none: No such file or directory\n"),
        .sample(
            "which can be skipped", "-n 9 --on-error=skip none -", "1\n", output: "1\n", status: 1,
            errors: "stream-sample: none: No such file or directory\n"
                + "stream-sample: 1 rejected\n"),
        .batch(
            "a directory is no batch", "-n 1 - .", "1\n2\n3", output: "[1]\n[2]\n[3]\n", status: 66,
            errors: "stream-batch: .: Is a directory\n"),
        .batch(
            "a command without --", "-n 5 - sh x", "1\n", output: "", status: 64,
            errors: "stream-batch: 'sh' is no file but a program: put -- before a command and its"
                + " arguments\n"),
        .decode(
            "a URL for ws-cat", "ws://localhost/", output: "", status: 66,
            errors: "sse-decode: ws://localhost/: No such file or directory"
                + " (ws-cat reads a URL)\n"),
        .encode(
            "a URL for sse-decode", "-d http://localhost/", output: "", status: 66,
            errors: "sse-encode: http://localhost/: No such file or directory"
                + " (sse-decode reads a URL)\n"),
        .decode(
            "a habit of curl's", "-d @body.json", output: "", status: 66,
            errors: "sse-decode: @body.json: No such file or directory"
                + " (curl's @FILE is: --body \"$(cat FILE)\")\n"),
        .batch(
            "options after operands of stream-batch", "- - -n 2", "1\n2\n3",
            output: "[1,2]\n[3]\n"),
    ]

    @Test func partOfAnEventDoesNotReachIntoTheNextInput() throws {
        let folder = try TemporaryFolder()
        _ = try folder.write("data: 1\n\nid: 7\ndata: 2\n", to: "a")
        _ = try folder.write("\u{FEFF}data: 3\n\n", to: "b")
        let result = try run("sse-decode", "-r \(folder.file("a")) \(folder.file("b"))")
        #expect(
            result.text == #"{"event":"message","data":"1"}"# + "\n"
                + #"{"event":"message","data":"3"}"# + "\n")
    }

    @Test func everyInputHasItsOwnLineNumbersAndByteOrderMark() throws {
        let folder = try TemporaryFolder()
        _ = try folder.write("\u{FEFF}1\r\n\n2", to: "a")
        _ = try folder.write("\u{FEFF}3\n{\n", to: "b")
        let result = try run("sse-encode", "-d \(folder.file("a")) \(folder.file("b"))")
        #expect(result.text == "data: 1\n\ndata: 2\n\ndata: 3\n\n")
        #expect(result.ending == .exit(65))
        #expect(result.errors.hasPrefix("sse-encode: \(folder.file("b")):2:2: expected"))
    }

    // MARK: gzip

    private static let members = """
        d=$(mktemp -d) && trap 'rm -r "$d"' EXIT
        gzip -c prices.sse > "$d/a.gz" && gzip -1 < openai.sse > "$d/b.gz"

        """

    @Test func gzipMembersOneAfterTheOther() throws {
        let result = try shell(
            Self.members + "cat \"$d/a.gz\" \"$d/b.gz\" | sse-decode - \"$d/a.gz\"")
        let plain = try run("sse-decode", "prices.sse openai.sse prices.sse")
        #expect(result.text == plain.text)
        #expect(result.ending == .exit(0))
        #expect(result.errors.isEmpty)
    }

    @Test func gzipForSSEEncode() throws {
        let result = try shell("gzip -c agent.jsonl | sse-encode -d | sse-decode -d")
        #expect(try result.text == Files.sample("agent.jsonl"))
    }

    @Test func gzipForStreamBatch() throws {
        let result = try shell("gzip -c access.jsonl | stream-batch -n 7 - access.jsonl")
        let lines = try Files.sample("access.jsonl").split(separator: "\n").map(String.init)
        let all = lines + lines
        let expected = stride(from: 0, to: all.count, by: 7).map {
            Batches.array(Array(all[$0..<min($0 + 7, all.count)]))
        }
        #expect(result.text == expected.joined())
    }

    @Test func gzipForStreamSample() throws {
        let result = try shell(
            Self.members + "stream-sample -p 1 \"$d/a.gz\" - \"$d/b.gz\" < access.jsonl")
        let expected = try ["prices.sse", "access.jsonl", "openai.sse"].map(Files.sample)
        #expect(result.text == expected.joined().replacing("\n\n", with: "\n"))
    }

    @Test func emptyMembers() throws {
        let result = try shell(
            "{ gzip </dev/null; gzip -c prices.sse; gzip </dev/null; } | sse-decode")
        #expect(try result.text == run("sse-decode", "prices.sse").text)
        #expect(try shell("gzip </dev/null | sse-decode").ending == .exit(0))
    }

    @Test func truncatedGzipWritesWhatDecodesAndFails() throws {
        let result = try shell("gzip -c openai.sse | head -c -400 | sse-decode -d")
        let all = try run("sse-decode", "-d openai.sse")
        #expect(result.ending == .exit(65))
        #expect(result.lines.count > 20)
        #expect(all.text.hasPrefix(result.text))
        #expect(result.errors.hasPrefix("sse-decode: -: "))
    }

    @Test func truncatedInTheSecondMember() throws {
        let result = try shell(
            Self.members
                + "{ cat \"$d/a.gz\"; head -c -400 \"$d/b.gz\"; } | sse-decode -d")
        #expect(result.ending == .exit(65))
        #expect(try result.text.hasPrefix(run("sse-decode", "-d prices.sse").text))
    }

    @Test func truncatedInTheTrailer() throws {
        let result = try shell("gzip -c prices.sse | head -c -3 | sse-decode -d")
        #expect(result.ending == .exit(65))
        #expect(try result.text == run("sse-decode", "-d prices.sse").text)
    }

    @Test func wrongChecksum() throws {
        let result = try shell(
            "{ gzip -c prices.sse | head -c -8; printf 12345678; } | sse-decode -d")
        #expect(result.ending == .exit(65))
        #expect(try result.text == run("sse-decode", "-d prices.sse").text)
    }

    @Test func garbageBehindIsAWarningAndZerosAreNot() throws {
        let garbage = try shell("{ gzip -c prices.sse; echo x; } | sse-decode -d")
        #expect(garbage.ending == .exit(0))
        #expect(
            garbage.errors
                == "sse-decode: -: trailing garbage behind the gzip data is ignored\n")
        let zeros = try shell(
            "{ gzip -c prices.sse; head -c 1000 /dev/zero; } | sse-decode -d")
        #expect(zeros.ending == .exit(0))
        #expect(zeros.errors.isEmpty)
    }

    @Test func aBombIsBounded() throws {
        let folder = try TemporaryFolder()
        let bomb = folder.file("bomb.gz")
        #expect(try shell("yes '{}' | head -c 90M | gzip -1 > \(bomb)").ending == .exit(0))
        let result = try shell("sse-encode -d --max-ratio=100 \(bomb) | wc -c")
        #expect(result.errors.contains("--max-ratio"))
        // What is no more than 64 MB was written before.
        #expect(try #require(Int(result.text.filter(\.isNumber))) > 1 << 20)
        let allowed = try shell("sse-encode -d --max-ratio=10000 \(bomb) > /dev/null")
        #expect(allowed.ending == .exit(0))
    }

    @Test func oneByteIsNoGzip() throws {
        #expect(try run("sse-encode", ["-d"], [0x1F]).ending == .exit(65))
        #expect(try run("sse-encode", "-d", "1").text == "data: 1\n\n")
    }

    @Test func compressedOutputInflates() throws {
        for level in ["-z", "--gzip=1", "--gzip", "-z9"] {
            let result = try shell("sse-decode \(level) prices.sse | gzip -dc")
            #expect(try result.text == run("sse-decode", "prices.sse").text)
        }
        #expect(try shell("sse-decode -z </dev/null | gzip -dc").output.isEmpty)
        #expect(try shell("sse-decode -z </dev/null | gzip -t").ending == .exit(0))
    }
}

import Foundation
import Glibc
import Testing

/// stream-batch: what commands are told of their batch, and what becomes of what they write.
@Suite(.serialized) struct DeliverFormTests {
    private let place: Workplace

    init() throws { place = try Workplace() }

    // MARK: The end of an output

    /// The answers of three requests came as {"ok":1}{"ok":1}{"ok":1}.
    @Test(arguments: ["", "-j 3 --keep-order"]) func outputsStayApart(_ options: String) throws {
        for (line, output) in [
            ("printf $BATCH_SEQ", "1\n2\n3\n"), ("echo $BATCH_SEQ", "1\n2\n3\n"),
            ("printf '%s\\r' $BATCH_SEQ", "1\r\n2\r\n3\r\n"), ("true", ""),
            ("printf '\\n'", "\n\n\n"), ("[ $BATCH_SEQ = 3 ] || printf é", "é\né\n"),
        ] {
            let result = try place.run("-n 1 \(options)", line, numbers(1...3))
            #expect(result.text == output)
            #expect(result.ending == .exit(0))
        }
    }

    @Test func partsStayApart() throws {
        let line = "[ $BATCH_COUNT = 1 ] || exit 1; printf $BATCH_PART"
        let result = try place.run("--bisect --dead-letter dead", line, numbers(1...3))
        #expect(result.text == "1-1\n2-2\n3-3\n")
    }

    /// A line feed between two members made the second one garbage.
    @Test func binaryOutputIsLeftAlone() throws {
        let whole = try place.run("-n 1 -f lines", "gzip -c", numbers(1...3))
        let inflated = try run("stream-sample", ["-t", "-p1"], whole.output)
        #expect(inflated.text == numbers(1...3))
        #expect(inflated.errors.isEmpty)
        for (line, output) in [
            ("printf 'a\\0'", "a\0a\0a\0"), ("printf '\\377'", "\u{FFFD}\u{FFFD}\u{FFFD}"),
        ] {
            let result = try place.run("-n 1", line, numbers(1...3))
            #expect(result.text == output)
        }
    }

    @Test func noNewline() throws {
        let result = try place.run("-n 1 --no-newline", "printf $BATCH_SEQ", numbers(1...3))
        #expect(result.text == "123")
    }

    @Test func compressed() throws {
        let result = try place.run("-n 1 -z", "printf $BATCH_SEQ", numbers(1...3))
        #expect(try run("stream-sample", ["-t", "-p1"], result.output).text == "1\n2\n3\n")
    }
}

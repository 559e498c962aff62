import Glibc
import StreamCodec
import Testing

@testable import ws_cat

@Suite struct LineEditorTests {
    /// The lines that keys come to, and at the end what is typed of the next.
    private func typed(_ reads: String..., maxLine: Int = 1000) -> [String] {
        typed(reads.map { Array($0.utf8) }, maxLine: maxLine)
    }

    private func typed(_ reads: [[UInt8]], maxLine: Int = 1000) -> [String] {
        var editor = LineEditor(maxLine: maxLine)
        var lines: [String] = []
        for read in reads {
            for byte in read {
                switch editor.take(byte) {
                case .line(let line): lines.append(line)
                case .end: lines.append("END")
                case .nothing, .changed: break
                }
            }
            editor.pause()
        }
        return lines + [editor.line]
    }

    @Test func enterEndsALine() {
        #expect(typed("ab\ncd\r\n") == ["ab", "cd", "", ""])
        #expect(typed("a", "b", "\n", "c") == ["ab", "c"])
        #expect(typed("a\tb\n") == ["a\tb", ""])
    }

    /// What a person sees as one character goes with one key.
    @Test(arguments: ["é", "€", "😀", "e\u{301}", "👩‍👩‍👧", "🇨🇭", "x"])
    func backspaceTakesACharacter(_ character: String) {
        #expect(typed("a" + character + "\u{7F}") == ["a"])
        #expect(typed("a" + character + "\u{8}b") == ["ab"])
        #expect(typed("a" + character + "\u{7F}\u{7F}\u{7F}\u{7F}\u{7F}c") == ["c"])
    }

    @Test func deletingMore() {
        #expect(typed("one two\u{15}x") == ["x"])
        #expect(typed("one two\u{17}x") == ["one x"])
        #expect(typed("one two  \u{17}\u{17}x") == ["x"])
        #expect(typed("\u{17}\u{15}\u{7F}") == [""])
    }

    @Test func endOnlyAtTheStartOfALine() {
        #expect(typed("\u{4}") == ["END", ""])
        #expect(typed("a\u{4}\n\u{4}") == ["a", "END", ""])
    }

    @Test func redrawingChangesNothing() {
        var editor = LineEditor(maxLine: 10)
        #expect(editor.take(UInt8(ascii: "a")) == .changed)
        #expect(editor.take(0x0C) == .changed)
        #expect(editor.line == "a")
        #expect(editor.take(0x00) == .nothing)
        #expect(editor.line == "a")
    }

    @Test(arguments: [
        "\u{1B}[C", "\u{1B}[F", "\u{1B}[3~", "\u{1B}[1;5A", "\u{1B}[15~", "\u{1B}OP",
        "\u{1B}OF", "\u{1B}[[A", "\u{1B}[Z", "\u{1B}x", "\u{1B}\u{1B}[C", "\u{1B}[<0;1;2M",
        "\u{1B}[A", "\u{1B}[B", "\u{1B}OA",
    ])
    func keysWithoutText(_ key: String) {
        #expect(typed("a" + key + "b") == ["ab"])
        // However the reads cut it, but for Alt and a letter, which is Escape and the letter then.
        if key == "\u{1B}x" { return }
        let bytes = Array("a\(key)b".utf8)
        for cut in 1..<bytes.count {
            #expect(typed([Array(bytes[..<cut]), Array(bytes[cut...])]) == ["ab"])
        }
        #expect(typed(bytes.map { [$0] }) == ["ab"])
    }

    @Test func theEscapeKeyAlone() {
        #expect(typed("a\u{1B}", "b") == ["ab"])
        #expect(typed("a\u{1B}\n") == ["a", ""])
    }

    @Test func scalarsWhereverReadsCutThem() {
        let text = Array("aé€😀z".utf8)
        for cut in text.indices {
            #expect(typed([Array(text[..<cut]), Array(text[cut...])]) == ["aé€😀z"])
        }
    }

    @Test func whatIsNotUTF8() {
        #expect(typed([[0x61, 0xFF, 0x62]]) == ["a\u{FFFD}b"])
        #expect(typed([[0x61, 0xC3, 0x62]]) == ["a\u{FFFD}b"])
        #expect(typed([[0xC3, 0xC3, 0xA9]]) == ["\u{FFFD}é"])
        #expect(typed([[0xE2, 0x82, 0x0A]]) == ["\u{FFFD}", ""])
        #expect(typed([[0x80]]) == ["\u{FFFD}"])
        // A surrogate, which is ill-formed.
        #expect(typed([[0xED, 0xA0, 0x80]]).first?.contains("\u{FFFD}") == true)
    }

    @Test func controlCharactersAreNoText() {
        #expect(typed("a\u{9B}b\u{85}c\u{3}d\u{0}e") == ["abcde"])
    }

    /// Who typed a word too few at the begin had to type all of it again.
    @Test(arguments: [
        ("bc\u{1B}[Ha", "abc"), ("bc\u{1B}OHa", "abc"), ("bc\u{1B}[1~a", "abc"),
        ("bc\u{1B}[7~a", "abc"), ("bc\u{1}a", "abc"), ("ac\u{1B}[Db", "abc"),
        ("ac\u{1B}ODb", "abc"), ("ac\u{2}b", "abc"), ("bc\u{1}a\u{1B}[Fd", "abcd"),
        ("bc\u{1}a\u{1B}OFd", "abcd"), ("bc\u{1}a\u{1B}[4~d", "abcd"),
        ("bc\u{1}a\u{1B}[8~d", "abcd"), ("bc\u{1}a\u{5}d", "abcd"),
        ("ad\u{1}\u{1B}[Cb", "abd"), ("ad\u{1}\u{6}b", "abd"), ("a\u{1B}[D\u{1B}[D\u{1B}[Db", "ba"),
        ("abc\u{1B}[D\u{7F}", "ac"), ("abc\u{1B}[D\u{1B}[3~", "ab"), ("abc\u{1}\u{4}", "bc"),
        ("abc\u{1B}[D\u{B}", "ab"), ("abc\u{1B}[D\u{15}", "c"), ("ab cd\u{1B}[D\u{17}", "ab d"),
        ("a😀👩‍👩‍👧\u{1B}[D\u{1B}[Db", "ab😀👩‍👩‍👧"),
    ])
    func theCursor(_ keys: String, _ line: String) {
        #expect(typed(keys) == [line])
        #expect(typed(keys + "\n") == [line, ""])
    }

    @Test func aPasteIsText() {
        #expect(typed("\u{1B}[200~ab\u{4}\u{15}c\nd\u{1B}[201~\u{7F}") == ["abc", ""])
        #expect(typed("\u{1B}[200~\u{4}\u{1B}[A\u{1B}[201~x\n\u{4}") == ["x", "END", ""])
    }

    @Test func earlierLines() {
        let up = "\u{1B}[A"
        let down = "\u{1B}[B"
        #expect(typed("one\ntwo\n" + up) == ["one", "two", "two"])
        #expect(typed("one\ntwo\n" + up + up) == ["one", "two", "one"])
        #expect(typed("one\ntwo\n" + up + up + up + up) == ["one", "two", "one"])
        #expect(typed("one\ntwo\ndra" + up + up + down) == ["one", "two", "two"])
        #expect(typed("one\ntwo\ndra" + up + down + down) == ["one", "two", "dra"])
        #expect(typed("one\n" + up + "s\n" + up) == ["one", "ones", "ones"])
        #expect(typed("one\none\n\ntwo\n" + up + up + up) == ["one", "one", "", "two", "one"])
        #expect(typed(up + down + "a") == ["a"])
        #expect(typed("a\n\u{10}\u{E}b") == ["a", "b"])
    }

    @Test func theLastHundredLines() {
        let lines = (1...150).map { "\($0)\n" }.joined()
        let ups = String(repeating: "\u{10}", count: 200)
        #expect(typed(lines + ups).last == "51")
    }

    @Test func aLineHasALimit() {
        #expect(typed("abcdef\u{7F}x\n", maxLine: 4) == ["abcx", ""])
        #expect(typed("abc€d\n", maxLine: 4) == ["abcd", ""])
    }
}

@Suite struct HarmlessTests {
    private func shown(_ bytes: [UInt8], isJSON: Bool) -> String {
        var queue = ByteQueue()
        bytes.withUnsafeBufferPointer { queue.append(harmless: $0, isJSON: isJSON) }
        return String(decoding: queue.bytes, as: UTF8.self)
    }

    @Test func controlCharactersAreWritten() {
        let text = Array("a\u{1B}[2J\u{7}\u{7F}\u{9B}1m\tb\r\u{0}é\u{A0}".utf8)
        #expect(
            shown(text, isJSON: false)
                == "a\\u{1b}[2J\\u{7}\\u{7f}\\u{9b}1m\tb\\u{d}\\u{0}é\u{A0}")
        #expect(
            shown(text, isJSON: true)
                == "a\\u001b[2J\\u0007\\u007f\\u009b1m\tb\\u000d\\u0000é\u{A0}")
        #expect(shown([], isJSON: false) == "")
    }

    @Test func whatIsNotUTF8IsRepaired() {
        #expect(shown([0x61, 0x9B, 0x1B, 0xC2], isJSON: false) == "a\u{FFFD}\\u{1b}\u{FFFD}")
    }

    /// No scalar below U+0020 but the tab, nor from U+007F to U+009F, comes through.
    @Test func randomBytes() {
        let given = getenv("SEED").flatMap { UInt64(String(cString: $0)) }
        let seed = given ?? UInt64.random(in: 1...9_999_999)
        print("randomBytes: SEED=\(seed)")
        var state = seed
        for _ in 0..<2000 {
            let bytes = (0..<20).map { _ in
                state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                let byte = UInt8(truncatingIfNeeded: state >> 33)
                return state >> 62 == 0 ? 0xC2 : byte
            }
            for scalar in shown(bytes, isJSON: false).unicodeScalars {
                let isControl = scalar.value < 0x20 || (0x7F...0x9F).contains(scalar.value)
                #expect(!isControl || scalar == "\t")
            }
        }
    }
}

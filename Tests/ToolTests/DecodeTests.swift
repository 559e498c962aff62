import Glibc
import Testing

/// sse-decode: what is written.
@Suite struct DecodeTests {
    @Test(arguments: forms + gets + selection) func writes(_ row: Case) throws { try row.check() }

    private static let forms: [Case] = [
        .decode(
            "records are the default", "", "data: a\ndata: b\n\n",
            output: #"{"event":"message","data":"a\nb"}"# + "\n"),
        .decode(
            "a record has its keys in order", "-r", "data:1\nretry: 5\nid: 7\nevent: price\n\n",
            output: #"{"event":"price","id":"7","data":"1"}"# + "\n"),
        .decode(
            "an empty id resets", "-r", "id\ndata: x\n\n",
            output: #"{"event":"message","id":"","data":"x"}"# + "\n"),
        .decode(
            "the id of a block without data is kept", "-r", "id: 3\n\ndata: x\n\ndata: y\n\n",
            output: #"{"event":"message","id":"3","data":"x"}"# + "\n"
                + #"{"event":"message","data":"y"}"# + "\n"),
        .decode(
            "so is the id of a block with nothing but retry or comments", "-r",
            "id: 3\nretry: 5\n: x\n\ndata: x\n\n",
            output: #"{"event":"message","id":"3","data":"x"}"# + "\n"),
        .decode(
            "data", "-d", "data: {\"a\":1.00}\n\ndata: [DONE]\n\ndata:\n\n",
            output: "{\"a\":1.00}\n\"[DONE]\"\n\"\"\n"),
        .decode(
            "data over several lines is one line", "-d", "data: {\"a\":\ndata: [1,\ndata: 2]}\n\n",
            output: "{\"a\": [1, 2]}\n"),
        .decode(
            "-j embeds what is JSON", "-j", "data: {\"a\":1.00}\n\ndata: {\"a\"\n\n",
            output: #"{"event":"message","data":{"a":1.00}}"# + "\n"
                + #"{"event":"message","data":"{\"a\""}"# + "\n"),
        .decode(
            "-j keeps to one line", "-j", "data: [1,\ndata: 2]\n\n",
            output: #"{"event":"message","data":[1, 2]}"# + "\n"),
        .decode("text", "-t", "data: a\ndata: b\n\ndata: \"c\"\n\n", output: "a\nb\n\"c\"\n"),
        .decode("the last form counts", "-r -d -t", "data: a\n\n", output: "a\n"),
        .decode(
            "comments and retry with --all", "--all",
            ": a\n:b\nretry: 10\n\n: c\nid: 1\ndata: x\nretry: 20\n\n",
            output: #"{"retry":10,"comment":"a\nb"}"# + "\n"
                + #"{"event":"message","id":"1","data":"x","retry":20,"comment":"c"}"# + "\n"),
        .decode(
            "an unfinished block is not dispatched", "-d", "data: 1\n\ndata: 2\n", output: "1\n"),
        .decode(
            "but --dispatch-eof does", "-d --dispatch-eof", "data: 1\n\ndata: 2", output: "1\n2\n"),
        .decode(
            "CR at the very end finishes a block", "-d", "data: 1\r\rdata: 2\r\r",
            output: "1\n2\n"),
        .decode("one byte order mark", "-d", "\u{FEFF}data: 1\n\n", output: "1\n"),
        .decode("no input, no output", "", "", output: ""),
        .decode("blank lines only", "", "\n\n\r\n", output: ""),
        .decode("comments only", "", ": ping\n\n", output: ""),
        .decode(
            "U+2028 and NEL end nothing", "-t", "data: a\u{2028}b\u{85}c\n\n",
            output: "a\u{2028}b\u{85}c\n"),
    ]

    private static let nested = """
        data: {"a":{"text":"Hel"}}

        data: {"a":{"text":"lo \\u2615\\n"}}

        data: {"a":{"text":null}}

        data: {"b":1}

        data: [DONE]

        data: {"a":{"text":1.50}}

        data: {"a":{"text":{"x":[1, 2]}}}


        """

    private static let gets: [Case] = [
        .decode(
            "--get with -t lets tokens flow", "-t --get .a.text", nested,
            output: "Hello ☕\n1.50{\"x\":[1, 2]}"),
        .decode(
            "--get with -d writes values", "-d --get .a.text", nested,
            output: "\"Hel\"\n\"lo \\u2615\\n\"\nnull\n1.50\n{\"x\":[1, 2]}\n"),
        .decode(
            "--get takes a JSON pointer", "-t --get /a/text", nested,
            output: "Hello ☕\n1.50{\"x\":[1, 2]}"),
        .decode(
            "half a surrogate pair is no text", "-t --get .c",
            "data: {\"c\":\"\\ud83d\\ude00\\ud800\"}\n\n", output: "😀\u{FFFD}"),
        .decode(
            "--get with array elements", "-d --get .c[1].d", "data: {\"c\":[0,{\"d\":2}]}\n\n",
            output: "2\n"),
        .decode(
            "--get compares keys unescaped", "-d --get .id", "data: {\"\\u0069d\":7}\n\n",
            output: "7\n"),
        .decode(
            "--get . is the whole value", "-d --get .", "data: {\"c\":\ndata: 1}\n\n",
            output: "{\"c\": 1}\n"),
        .decode(
            "--get over a line break stays on a line", "-d --get .c",
            "data: {\"c\":[1,\ndata: 2]}\n\n", output: "[1, 2]\n"),
        .decode(
            "--get with records is a usage error", "--get .a", "", output: "", status: 64,
            errors: "sse-decode: --get needs --text or --data\n"),
    ]

    private static let types = """
        event: a
        data: 1

        data: 2

        event: b
        data: 3

        event: a
        data: 4


        """

    private static let selection: [Case] = [
        .decode("--event", "-d --event a", types, output: "1\n4\n"),
        .decode("--event twice", "-d -e a -eb", types, output: "1\n3\n4\n"),
        .decode("--event !NAME", "-d --event !a", types, output: "2\n3\n"),
        .decode("an unnamed event is a message", "-d --event message", types, output: "2\n"),
        .decode("without messages", "-d --event=!message -e !b", types, output: "1\n4\n"),
        .decode(
            "without, for a shell", "-d --not-event message --not-event b", types,
            output: "1\n4\n"),
        .decode("included and excluded", "-d -e a -e b -e !b", types, output: "1\n4\n"),
        .decode("-n counts what is written", "-d -n 1 -e b", types, output: "3\n"),
        .decode("-n 0", "-d -n0", types, output: ""),
        .decode("-n more than there are", "-d -n 99", types, output: "1\n2\n3\n4\n"),
        .decode(
            "-n counts what --get finds", "-t -n 1 --get .a", "data: 1\n\ndata: {\"a\":7}\n\n",
            output: "7"),
    ]

    @Test func tokensOfAnLLMFlow() throws {
        let result = try run(
            "sse-decode", ["-t", "--get", ".choices[0].delta.content", "--until", "[DONE]"],
            Files.sample("openai.sse").utf8)
        #expect(result.ending == .exit(0))
        #expect(result.text.hasPrefix("The light"))
        #expect(!result.text.contains("{"))
        let pieces = try run("sse-decode", "-d --get .choices[0].delta.content openai.sse")
        let joined = pieces.lines.compactMap { json($0) as? String }.joined()
        #expect(result.text == joined)
    }

    @Test func countEndsWhileInputIsHeldOpen() throws {
        let session = try start("sse-decode", "-d -n 2")
        session.write("data: 1\n\ndata: 2\n\n")
        let result = session.finish()
        #expect(result.text == "1\n2\n")
        #expect(result.ending == .exit(0))
    }

    @Test func invalidUTF8IsRepairedWhereverItIsCut() throws {
        let bytes: [UInt8] = Array("data: a".utf8) + [0xE2, 0x98] + Array("\n\n".utf8)
        let session = try start("sse-decode", "-t")
        for byte in bytes {
            session.write([byte])
            usleep(200)
        }
        session.closeInput()
        #expect(session.finish().text == "a\u{FFFD}\n")
    }
}

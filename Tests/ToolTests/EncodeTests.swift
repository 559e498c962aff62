import Testing

/// sse-encode: what is written for a line.
@Suite struct EncodeTests {
    @Test(arguments: forms + options + paths) func writes(_ row: Case) throws { try row.check() }

    @Test(arguments: rejected + usage) func refuses(_ row: Case) throws { try row.check() }

    private static let forms: [Case] = [
        .encode(
            "a record", "", #"{"event":"a","id":"1","data":"x\ny","retry":5,"channel":"c"}"#,
            output: "event: a\nid: 1\nretry: 5\ndata: x\ndata: y\n\n"),
        .encode(
            "comments", "-r", #"{"comment":"a\r\nb"}"# + "\n" + #"{"comment":"c","data":1}"#,
            output: ": a\n: b\n\n: c\ndata: 1\n\n"),
        .encode(
            "an event named message is not named", "", #"{"event":"message","data":"x"}"#,
            output: "data: x\n\n"),
        .encode(
            "data that is no string is sent as its text", "",
            #"{"data":{"b":1.00, "a":[9007199254740993]},"id":12}"#,
            output: "id: 12\ndata: {\"b\":1.00, \"a\":[9007199254740993]}\n\n"),
        .encode("null data", "", #"{"data":null}"#, output: "data: null\n\n"),
        .encode("empty data", "", #"{"data":""}"#, output: "data: \n\n"),
        .encode("an empty id", "", #"{"id":"","data":"x"}"#, output: "id: \ndata: x\n\n"),
        .encode("escaped keys", "", #"{"\u0064ata":"x"}"#, output: "data: x\n\n"),
        .encode(
            "escapes are resolved", "", #"{"event":"\u00e9","data":"\u2615\t\ud834\udd1e\/"}"#,
            output: "event: é\ndata: ☕\t𝄞/\n\n"),
        .encode(
            "a lone CR ends a line of data", "", #"{"data":"a\rb\n"}"#,
            output: "data: a\ndata: b\ndata: \n\n"),
        .encode("no record at all", "", "{}", output: ""),
        .encode(
            "data lines", "-d", "{\"a\": 1.0}\r\n\n \n\"x\\ny\"\n2",
            output: "data: {\"a\": 1.0}\n\ndata: \"x\\ny\"\n\ndata: 2\n\n"),
        .encode("one byte order mark", "-d", "\u{FEFF}1\n", output: "data: 1\n\n"),
        .encode(
            "CR inside a line is white space", "-d", "{\"a\":\r1}\n",
            output: "data: {\"a\":\ndata: 1}\n\n"),
        .encode(
            "text", "-t", "a\n\n{\r\nb\rc",
            output:
                "data: a\n\ndata: \n\ndata: {\n\ndata: b\ndata: c\n\n"),
        .encode("no input, no output", "-d", "", output: ""),
        .encode("the last form counts", "-r -t -d", "1", output: "data: 1\n\n"),
    ]

    private static let options: [Case] = [
        .encode(
            "--event", "-d --event tick", "1\n2\n",
            output: "event: tick\ndata: 1\n\nevent: tick\ndata: 2\n\n"),
        .encode("--event for text", "-t -etick", "a", output: "event: tick\ndata: a\n\n"),
        .encode("--event=message is no line", "-d -e message", "1", output: "data: 1\n\n"),
        .encode(
            "--id-seq", "-d --id-seq", "1\n1\n",
            output:
                "id: 1\ndata: 1\n\nid: 2\ndata: 1\n\n"),
        .encode(
            "--id-seq=START, behind the event", "-t --id-seq=41 -e x", "a\nb\n",
            output:
                "event: x\nid: 41\ndata: a\n\nevent: x\nid: 42\ndata: b\n\n"),
        .encode(
            "--retry once at the start", "-d --retry 2500", "1\n2",
            output:
                "retry: 2500\n\ndata: 1\n\ndata: 2\n\n"),
        .encode("--retry without input", "-d --retry=0", "", output: "retry: 0\n\n"),
        .encode("--done", "-d --done", "1\n", output: "data: 1\n\nevent: done\ndata: \n\n"),
        .encode("--done=DATA", "-d --done=[DONE]", "1\n", output: "data: 1\n\ndata: [DONE]\n\n"),
        .encode("--done without input", "--done=[DONE]", "", output: "data: [DONE]\n\n"),
        .encode(
            "--chunk", "-t --chunk 4 -e e", "größe\nfour\n",
            output: #"event: e\#ndata: {"type":"chunk","id":"1","seq":0,"total":2,"data":"grö"}"#
                .replacing("\\#n", with: "\n") + "\n\n"
                + #"event: e\#ndata: {"type":"chunk","id":"1","seq":1,"total":2,"data":"ße"}"#
                .replacing("\\#n", with: "\n") + "\n\nevent: e\ndata: four\n\n"),
        .encode(
            "--chunk with an id: the line comes with the last", "--chunk 4",
            #"{"id":"7","data":"abcdef"}"#,
            output: "data: " + #"{"type":"chunk","id":"7","seq":0,"total":2,"data":"abcd"}"#
                + "\n\nid: 7\ndata: "
                + #"{"type":"chunk","id":"7","seq":1,"total":2,"data":"ef"}"# + "\n\n"),
    ]

    private static let thought = #"{"type":"thought","n":3,"content":"x\ny","z":null}"#

    private static let paths: [Case] = [
        .encode(
            "--event-from", "-d --event-from .type --data-from .", thought,
            output: "event: thought\ndata: \(thought)\n\n"),
        .encode(
            "--data-from a string sends its text", "-d --event-from /type --data-from .content",
            thought, output: "event: thought\ndata: x\ndata: y\n\n"),
        .encode(
            "--id-from a number", "-d --id-from .n --data-from .type", thought,
            output: "id: 3\ndata: thought\n\n"),
        .encode(
            "--id-from a string", "-d --id-from .type --data-from .n", thought,
            output: "id: thought\ndata: 3\n\n"),
        .encode(
            "absent and null say nothing", "-d --id-from .z --event-from .y --data-from .n",
            thought, output: "data: 3\n\n"),
        .encode(
            "--event where --event-from finds nothing", "-d --event-from .y -e e --data-from .n",
            thought, output: "event: e\ndata: 3\n\n"),
    ]

    private static let rejected: [Case] = [
        .encode(
            "LF in event", "", #"{"data":1}"# + "\n" + #"{"event":"a\nb","data":1}"#,
            output: "data: 1\n\n", status: 65,
            errors: "sse-encode: -:2:11: 'event' must not hold a line break\n"),
        .encode(
            "CR in id", "", #"{"id":"\r","data":1}"#, output: "", status: 65,
            errors: "sse-encode: -:1:8: 'id' must not hold a line break or NUL\n"),
        .encode(
            "NUL in id, escaped", "", #"{"id":"\u0000","data":1}"#, output: "", status: 65,
            errors: "sse-encode: -:1:8: 'id' must not hold a line break or NUL\n"),
        .encode(
            "LF by --event-from", "-d --event-from .e", #"{"e":"a\u000adata: x"}"#, output: "",
            status: 65, errors: "sse-encode: -:1:7: 'event' must not hold a line break\n"),
        .encode(
            "LF by --id-from", "-d --id-from .e", #"{"e":"a\n"}"#, output: "", status: 65,
            errors: "sse-encode: -:1:7: 'id' must not hold a line break or NUL\n"),
        .encode(
            "LF in a record that is cut into chunks", "--chunk 4",
            #"{"event":"a\n","data":"abcdef"}"#, output: "", status: 65,
            errors: "sse-encode: -:1:11: 'event' must not hold a line break\n"),
        .encode(
            "LF in the id of a record that is cut", "--chunk 4", #"{"id":"a\n","data":"abcdef"}"#,
            output: "", status: 65,
            errors: "sse-encode: -:1:8: 'id' must not hold a line break or NUL\n"),
        .encode(
            "an unknown key", "", #"{"event":"a","dta":1}"#, output: "", status: 65,
            errors: "sse-encode: -:1:14: unknown key 'dta' in event record"
                + " (--data sends any JSON value as it is)\n"),
        .encode(
            "no object", "", "[1]", output: "", status: 65,
            errors: "sse-encode: -:1:1: expected an event record, an object"
                + " (--data sends any JSON value as it is)\n"),
        .encode(
            "a wrong type", "", #"{"event":1}"#, output: "", status: 65,
            errors: "sse-encode: -:1:10: 'event' must be a string\n"),
        .encode(
            "a retry that is no number", "", #"{"retry":"5"}"#, output: "", status: 65,
            errors: "sse-encode: -:1:10: 'retry' must be whole milliseconds\n"),
        .encode(
            "a key twice", "", #"{"data":1,"data":2}"#, output: "", status: 65,
            errors: "sse-encode: -:1:11: key 'data' stands twice in event record\n"),
        .encode(
            "half a surrogate pair", "", #"{"data":"x\ud800"}"#, output: "", status: 65,
            errors: "sse-encode: -:1:11: 'data' holds half a surrogate pair, which is no text\n"),
        .encode(
            "no value at --data-from", "-d --data-from .x", "{}", output: "", status: 65,
            errors: "sse-encode: -:1:1: no value at .x\n"),
    ]

    private static let usage: [Case] = [
        .encode(
            "--id-from needs --data", "--id-from .x", "", output: "", status: 64,
            errors: "sse-encode: --event-from, --id-from and --data-from need --data\n"),
        .encode(
            "--event needs --data or --text", "-e x", "", output: "", status: 64,
            errors: "sse-encode: --event and --id-seq need --data or --text:"
                + " a record names its own\n"),
        .encode(
            "--id-from and --id-seq", "-d --id-from .x --id-seq", "", output: "", status: 64,
            errors: "sse-encode: --id-from and --id-seq exclude each other\n"),
        .encode(
            "two last events", "--done --done-event end=x", "", output: "", status: 64,
            errors: "sse-encode: --done and --done-event exclude each other\n"),
        .encode(
            "two heads", "--cgi --http", "", output: "", status: 64,
            errors: "sse-encode: --http and --cgi exclude each other\n"),
        .encode(
            "--chunk of 3", "--chunk 3", "", output: "", status: 64,
            errors: "sse-encode: option '--chunk': expected a size of at least 4 bytes\n"),
    ]

    @Test(arguments: ["a\nb", "a\rb", "\n"]) func aLineBreakInEvent(_ name: String) throws {
        let result = try run("sse-encode", ["-d", "--event", name], "1\n".utf8)
        #expect(result.ending == .exit(64))
        #expect(result.output.isEmpty)
        #expect(result.errors == "sse-encode: option '--event': a name cannot hold a line break\n")
    }

    @Test func aLineBreakInDoneBreaksNothing() throws {
        let result = try run("sse-encode", ["--done=a\n\nevent: x"], "".utf8)
        #expect(result.text == "data: a\ndata: \ndata: event: x\n\n")
    }
}

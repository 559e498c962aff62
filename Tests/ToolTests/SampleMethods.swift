/// What the tests of stream-sample have in common.
enum SampleMethods {
    /// Every method and most of what changes it, for access.jsonl: neither all of its lines are
    /// sampled nor none, and the clock has no part in it.
    static let some = [
        "-n 20", "-n 20 --shuffle", "-n 20 --weight .duration", "-n 3 --by .host",
        "-n 2 --every 15s --time .time", "-p 0.2", "-p 20% --by .host", "-p 0.3 --key .remote",
        "--nth 7 --offset 3", "--nth 7 --by .host", "--rate 20/m --burst 1 --time .time",
        "--rate 9/m --burst 2 --time .time --by .host", "--adapt 20/m --time .time",
        "--adapt 9/m --time .time --by .host", "--latest .remote",
        "--latest .remote --every 15s --time .time", "--first .host --every 15s --time .time",
        "--distinct .remote", "--distinct .host,.status", "--change .method",
        "--change .duration --deadband 0.2 --by .host", "--lttb 9 -y .duration",
        "--lttb 5 -y .duration --every 30s --time .time", "--minmax 8 -x .time -y .duration",
        "--m4 12 -y .duration --by .host",
    ]

    /// Methods that take every line of different objects with a member y.
    static let takingAll = [
        "-n 99", "-n 99 --weight .y", "-p 1", "-p 100% --key .", "--nth 1",
        "--rate 1000000000", "--rate 1000000000 --pace", "--adapt 1000000000",
        "--latest .", "--first .", "--distinct .", "--change .", "--lttb 99 -y .y",
        "--minmax 99 -y .y", "--m4 99 -y .y", "-n 99 --by .y",
    ]

    /// The ones that hold lines back, for numbers from 0 to 9 and the text "go".
    static let holding = [
        "-n 99", "-n 99 --weight .", "-n 99 --by .", "--latest .", "--lttb 99 -y .",
        "--minmax 99 -y .", "--m4 99 -y .",
    ]
}

extension Finished {
    /// The counters of --stats, which come last on standard error but for a failure.
    var stats: [String: Int] {
        let line = errors.split(separator: "\n").last { $0.hasPrefix("{\"tool\"") } ?? ""
        return object(String(line)).compactMapValues { $0 as? Int }
    }

    /// True when each line that came in went somewhere.
    func addsUp(header: Int = 0) -> Bool {
        let stats = stats
        let out = ["records_out", "dropped", "rejected"].reduce(header) { $0 + (stats[$1] ?? 0) }
        return stats["records_in"] == out
    }
}

import CLinux
import Glibc
import StreamCodec
import StreamTool

/// How far each source has come, kept in the file of --state; with --exactly-once also how much of
/// the output belongs to that.
struct Checkpoint {
    private let file: StateFile
    private let interval: UInt64
    private var places: [(key: RequestKey, id: [UInt8]?)]
    private var output: ExactOutput?
    private var isChanged = true
    /// Monotonic nanoseconds.
    private var last: UInt64 = 0

    /// Reads the file, cuts the output to what belongs to the ids in it, and writes the file:
    /// what cannot be kept is told before anything is asked for.
    init(_ file: StateFile, _ settings: DecodeOptions, _ keys: [RequestKey], _ report: Report)
        throws
    {
        self.file = file
        interval = settings.follow.stateInterval
        places = keys.map { ($0, nil) }
        for key in keys { try file.claim(key) }
        if settings.follow.isExactlyOnce, let path = settings.outputFile {
            output = try ExactOutput(path)
        }
        try file.exclusively { try begin(report) }
        isChanged = false
        last = 0
    }

    func id(of index: Int) -> [UInt8]? { places[index].id }

    // MARK: The beginning

    private mutating func begin(_ report: Report) throws {
        let lines = try file.read().map(\.line)
        for index in places.indices { try find(index, in: lines, report) }
        if output != nil {
            try check(lines)
            try output?.begin(lines, file.path, report)
        }
        try write()
    }

    private mutating func find(_ index: Int, in lines: [StateLine], _ report: Report) throws {
        let key = places[index].key
        var isAlike = false
        for line in lines {
            guard let (other, id) = line.source, other.url == key.url else { continue }
            if other == key {
                places[index].id = id
                return
            }
            // An earlier version left out by what its requests differ.
            if other.request == nil && key.url.utf8.contains(UInt8(ascii: "?")) {
                throw Failure(
                    .badConfiguration,
                    "\(file.path): does not say for which values of the query it has a place in"
                        + " \(key.url); without that line the stream begins anew")
            }
            isAlike = true
        }
        if isAlike {
            report.warn(
                "\(file.path) has a place in \(key.url) for another request only: method, query,"
                    + " user or body differ")
        }
    }

    /// What the ids belong to is in this output.
    private func check(_ lines: [StateLine]) throws {
        guard let output else { return }
        var isElsewhere = false
        for line in lines {
            switch line {
            case .place(let key, let id, let path) where places.contains { $0.key == key }:
                if let path, path != output.name {
                    throw Failure(
                        .badConfiguration,
                        "\(file.path): the place in \(key.url) belongs to \(path), not to"
                            + " \(output.name); use another --state, or if the file was moved,"
                            + " put its new name there")
                }
                isElsewhere = isElsewhere || (path == nil && id != nil)
            case .length(let key, _) where places.contains { $0.key == key }:
                throw Failure(
                    .badConfiguration,
                    "\(file.path): does not say which output has the length for \(key.url); without"
                        + " that line the stream begins anew")
            case .place, .length, .output: break
            }
        }
        // That run may have written behind what the state knows of the output.
        if isElsewhere, let surplus = try output.surplus(lines), surplus > 0 {
            throw Failure(
                .badConfiguration,
                "\(output.name): \(surplus) bytes may be of a run without --exactly-once, with the"
                    + " same \(file.path)")
        }
    }

    // MARK: Writing

    /// All of the source's output up to the mark was written.
    mutating func take(_ mark: Mark, of index: Int) {
        if places[index].id == mark.id && (output == nil || output?.length == mark.position) {
            return
        }
        places[index].id = mark.id
        output?.length = mark.position
        isChanged = true
    }

    /// The run ends in order: all that stands in the output is known, and belongs to the ids when
    /// `length` says so.
    mutating func end(at length: Int?) throws {
        if let length { output?.length = length }
        if try output?.end() != nil { isChanged = true }
    }

    /// When `save` has something to do; nil while nothing changed.
    var deadline: UInt64? { isChanged ? last + interval : nil }

    /// Writes the file, when that is due or `force` says so. What the output holds comes first.
    mutating func save(force: Bool = false) throws {
        let now = monotonicNanoseconds()
        guard isChanged, force || now >= last + interval else { return }
        try file.exclusively { try write() }
        isChanged = false
        last = now
    }

    /// What this run knows replaces what stands there of it; the rest is of other runs, and stays.
    private func write() throws {
        var text = ByteQueue()
        for (line, raw) in try file.read() where !isOurs(line) {
            text.append(raw)
            text.append(UInt8(ascii: "\n"))
        }
        for (key, id) in places where id != nil || output != nil {
            StateLine.place(key, id: id, output: output?.name).append(to: &text)
        }
        if let output { StateLine.output(try output.place()).append(to: &text) }
        try file.write(text)
    }

    private func isOurs(_ line: StateLine) -> Bool {
        switch line {
        case .place(let key, _, _), .length(let key, _): places.contains { $0.key == key }
        case .output(let place): place.path == output?.name
        }
    }
}

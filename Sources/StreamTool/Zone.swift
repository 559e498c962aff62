import Glibc
import StreamCodec

/// Time zones, for dates that do not say theirs.
enum Zone {
    private static let folder = "/usr/share/zoneinfo"

    /// What `--time-zone` says: `Z`, `UTC`, `+01:00`, or a name such as `Europe/Berlin`.
    static func parse(_ text: String) throws(UsageError) -> Timestamp.Zone {
        if let offset = fixed(text) { return { _ in offset } }
        guard isName(text) else {
            throw UsageError(
                "expected a time zone such as UTC, +01:00 or Europe/Berlin, not '\(text)'")
        }
        guard hasRules(text) else {
            throw UsageError("there is no time zone '\(text)' in \(folder)")
        }
        load(text)
        return local
    }

    /// Seconds ahead of UTC.
    private static func fixed(_ text: String) -> Int? {
        if text == "Z" || text == "UTC" { return 0 }
        let digits = text.dropFirst().filter { $0 != ":" }
        guard let sign = text.first, sign == "+" || sign == "-",
            text.count == 6 && text.dropFirst(3).first == ":" || text.count == 5,
            digits.count == 4, let number = Int(digits), digits.allSatisfy(\.isNumber),
            number / 100 < 24, number % 100 < 60
        else { return nil }
        let seconds = (number / 100 * 60 + number % 100) * 60
        return sign == "-" ? -seconds : seconds
    }

    /// True when the text is no way out of the folder.
    private static func isName(_ text: String) -> Bool {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        return parts.allSatisfy { $0.first?.isLetter ?? false }
            && text.utf8.allSatisfy { $0 > UInt8(ascii: " ") && $0 < 0x7F }
    }

    private static func hasRules(_ name: String) -> Bool {
        let file = open("\(folder)/\(name)", O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return false }
        defer { close(file) }
        var magic: [UInt8] = [0, 0, 0, 0]
        return read(file, &magic, 4) == 4 && magic == Array("TZif".utf8)
    }

    /// The C library reads the rules now and keeps them; commands that are started later must
    /// not find the variable.
    private static func load(_ name: String) {
        let before = getenv("TZ").map { String(cString: $0) }
        setenv("TZ", ":\(folder)/\(name)", 1)
        tzset()
        if let before { setenv("TZ", before, 1) } else { unsetenv("TZ") }
    }

    /// The offset at a local time. One that clocks show twice is the first; one that they pass
    /// over is as long after the change as it says.
    @Sendable private static func local(_ time: Int) -> Int {
        let day = 86400
        let before = offset(at: time - day)
        let after = offset(at: time + day)
        if before == after || offset(at: time - before) == before { return before }
        return offset(at: time - after) == after ? after : before
    }

    /// The offset at a time in UTC.
    private static func offset(at time: Int) -> Int {
        var seconds = time_t(time)
        var parts = tm()
        localtime_r(&seconds, &parts)
        return parts.tm_gmtoff
    }
}

extension Option {
    /// A zone for dates that do not say theirs.
    package static func timeZone(
        _ set: @escaping (inout Settings, Timestamp.Zone?) -> Void
    ) -> Option {
        Option(
            nil, "time-zone",
            "The zone of dates that do not say theirs (UTC): an offset such as +01:00, or a name"
                + " such as Europe/Berlin. Of an hour that clocks show twice it is the first.",
            argument: .required("ZONE")
        ) { settings, value in
            set(&settings, try Zone.parse(value ?? ""))
        }
    }
}

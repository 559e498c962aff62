/// The value of a Retry-After field. RFC 9110, section 10.2.3.
package enum RetryAfter {
    /// The longest time that is believed: a day, in nanoseconds.
    private static let longest: UInt64 = 86400 * 1_000_000_000

    /// Nanoseconds to wait, at the most a day, from seconds or an HTTP date; nil for anything else.
    /// `now` is nanoseconds since 1970.
    package static func wait(_ value: String, now: UInt64) -> UInt64? {
        if !value.isEmpty, value.utf8.allSatisfy({ UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }) {
            // What does not fit is a very long time.
            return min(longest / 1_000_000_000, UInt64(value) ?? .max) * 1_000_000_000
        }
        guard let seconds = httpDate(value) else { return nil }
        let (date, isOverflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        if isOverflow { return longest }
        return date > now ? min(longest, date - now) : 0
    }

    private static let months = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ]

    /// Seconds since 1970 from an IMF-fixdate, `Sun, 06 Nov 1994 08:49:37 GMT` (section 5.6.7).
    private static func httpDate(_ text: String) -> UInt64? {
        let words = text.split(separator: " ")
        guard words.count == 6, words[5] == "GMT",
            let day = Int(words[1]), (1...31).contains(day),
            let month = months.firstIndex(of: String(words[2])),
            let year = Int(words[3]), (1970...9999).contains(year)
        else { return nil }
        let clock = words[4].split(separator: ":").compactMap { Int($0) }
        guard clock.count == 3, (0...23).contains(clock[0]), (0...59).contains(clock[1]),
            (0...60).contains(clock[2])
        else { return nil }
        // Days from civil: March is the year's first month, so that the leap day is its last.
        let shifted = month < 2 ? year - 1 : year
        let era = shifted / 400
        let yearOfEra = shifted - era * 400
        let dayOfYear = (153 * ((month + 10) % 12) + 2) / 5 + day - 1
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        let days = era * 146_097 + dayOfEra - 719_468
        return UInt64(days * 86400 + clock[0] * 3600 + clock[1] * 60 + clock[2])
    }
}

import StreamTool

/// The statuses of an answer after which the same request may do better later.
package struct RetryStatuses: Sendable {
    private let ranges: [ClosedRange<Int>]

    /// What passes: 408, 425 and 429 (RFC 9110, 15.5.9; RFC 8470, 5.2; RFC 6585, 4), and every 5xx,
    /// those of content delivery networks among them (520 to 530), but for 501 and 505: what a
    /// server does not implement or speak it will not learn soon (RFC 9110, 15.6.2 and 15.6.6).
    package static let standard = RetryStatuses(
        ranges: [408...408, 425...425, 429...429, 500...500, 502...504, 506...599])

    private init(ranges: [ClosedRange<Int>]) {
        self.ranges = ranges
    }

    /// `429,500-599`, or `none`. Throws for anything else, and for what is no status from 400 to
    /// 599.
    package init(_ list: String) throws(UsageError) {
        ranges = list == "none" ? [] : try Value.ranges(list, in: 400...599)
    }

    package func contains(_ status: Int) -> Bool {
        ranges.contains { $0.contains(status) }
    }
}

extension Option {
    /// `--retry-statuses LIST`, which takes the place of the standard list.
    package static func retryStatuses(
        _ set: @escaping (inout Settings, RetryStatuses) -> Void
    ) -> Option {
        Option(
            nil, "retry-statuses",
            "Statuses after which to try again, such as 429,500-599, or none (408, 425, 429 and"
                + " every 5xx but 501 and 505).",
            argument: .required("LIST")
        ) { settings, value in
            set(&settings, try RetryStatuses(value ?? ""))
        }
    }
}

import StreamCodec

extension Report {
    /// A line or an event that is left out. Throws when bad input is to stop the tool.
    package func reject(
        _ place: Place, _ reason: String, raw: UnsafeBufferPointer<UInt8>
    ) throws {
        rejected += 1
        let message = reason + advice(reason, raw)
        if rejects != nil {
            try rejects?.append(place, reason, raw: raw)
        } else if options.onError == .stop {
            throw Failure(.badData, message, at: place)
        }
        say(.warning, message, at: place)
    }

    /// What a writer of text has to know, or of values that go over several lines.
    private func advice(_ reason: String, _ raw: UnsafeBufferPointer<UInt8>) -> String {
        do throws(JSONError) {
            try JSON.validate(raw)
            return ""
        } catch {
            guard takesText, reason == error.description else { return "" }
            let first = raw.first { !($0 == 0x20 || (0x09...0x0D).contains($0)) }
            let isText = !"{[\"".utf8.contains(first ?? UInt8(ascii: "{"))
            let isCutOff = error.reason == .unexpectedEnd && first != UInt8(ascii: "\"")
            return isText
                ? " (--text takes any line)"
                : isCutOff ? " (a value stands on one line, as jq -c writes it)" : ""
        }
    }

    /// Rejected lines go to a file.
    package var keepsRejects: Bool { rejects != nil }

    /// A rejected line ends the tool.
    package var stopsAtBadInput: Bool { options.onError == .stop && options.rejectsFile == nil }

    /// An input that is left out as a whole.
    package func passOver(_ failure: Failure) {
        rejected += 1
        error(failure.message, at: failure.place)
    }
}

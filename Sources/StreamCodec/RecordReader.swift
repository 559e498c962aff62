extension JSONScanner {
    /// Reads a line that is an object, each member as the place of its key, without the quotes, and
    /// that of its value, and throws the first thing that is wrong: with the JSON, or what
    /// `take` says of a member. `notAnObject` says what else a line is.
    @inline(__always)
    static func readRecord(
        _ line: UnsafeBufferPointer<UInt8>, maxDepth: Int, notAnObject: RecordError.Reason,
        _ take: (_ key: Range<Int>, _ value: Range<Int>) -> RecordError?
    ) throws(RecordError) {
        var scanner = unsafe JSONScanner(line, maxDepth: maxDepth)
        var problem: RecordError?
        do throws(JSONError) {
            problem = try scanner.readMembers(notAnObject, take)
            try scanner.finish()
        } catch {
            let earliest = scanner.earliest(error)
            throw RecordError(offset: earliest.offset, reason: .json(earliest.reason))
        }
        if let problem { throw problem }
    }

    @inline(__always)
    private mutating func readMembers(
        _ notAnObject: RecordError.Reason,
        _ take: (_ key: Range<Int>, _ value: Range<Int>) -> RecordError?
    ) throws(JSONError) -> RecordError? {
        skipWhitespace()
        guard next == UInt8(ascii: "{") else {
            let start = position
            try skipValue()
            return RecordError(offset: start, reason: notAnObject)
        }
        var problem: RecordError?
        var isFirst = true
        try enter()
        while let key = try nextKey(isFirst: isFirst) {
            isFirst = false
            let value = try valueRange()
            if let wrong = take(key, value), problem == nil { problem = wrong }
        }
        return problem
    }
}

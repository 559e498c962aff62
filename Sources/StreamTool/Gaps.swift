extension Report {
    /// Counts and reports numbers that --reorder waited for in vain.
    package func tell(missing numbers: ClosedRange<Int>, at place: Place) {
        let (first, last) = (numbers.lowerBound, numbers.upperBound)
        let (size, isHuge) = last.subtractingReportingOverflow(first)
        for (count, name) in [(1, "gaps"), (isHuge ? .max : size, "missing"), (1, "missing")] {
            add(count, to: name)
        }
        let what = size == 0 ? "number \(first) is" : "numbers \(first) to \(last) are"
        warn("\(what) missing", at: place)
    }

    /// Tells of a number behind which a higher one went before.
    package func tell(late number: Int, at place: Place) {
        warn("number \(number) came late", at: place)
    }

    /// Tells and counts that the numbers begin anew.
    package func tell(restartAt number: Int, at place: Place) {
        add(to: "restarts")
        warn("the numbers begin anew at \(number)", at: place)
    }
}

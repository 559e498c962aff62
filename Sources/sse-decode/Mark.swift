/// A place in a stream that the next run can go on at.
struct Mark {
    /// The last event id; nil while the stream gave none, when nothing of it comes again.
    var id: [UInt8]?
    /// Where the output behind that event begins.
    var position: Int
}

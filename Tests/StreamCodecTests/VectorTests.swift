import CBytes
import Testing

/// The machine that runs the tests has the longest vectors; others have shorter ones, or none.
/// The suites that run beside this one meet any of them, with the same results.
@Suite(.serialized) struct VectorTests {
    @Test(arguments: [16, 0, 64])
    func eachLengthOfVectors(_ bytes: Int32) {
        cb_limit_vectors(bytes)
        JSONStringTests().escapingAtEachLengthAndAlignment()
        JSONStringTests().unescapingAtEachLengthAndAlignment()
        UTF8Tests().shortSequences()
        UTF8Tests().nearlyValidText()
        UTF8Tests().oneBadByte()
    }
}

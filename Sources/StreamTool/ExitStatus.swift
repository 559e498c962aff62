import CLinux
import Glibc

/// How a tool ends: the statuses of sysexits(3) that the suite uses.
package enum ExitStatus: Int32, Sendable {
    case success = 0
    /// Done, but some input was rejected or some message dropped.
    case partial = 1
    case usage = 64
    case badData = 65
    case noInput = 66
    case unavailable = 69
    case internalError = 70
    case systemError = 71
    case cannotCreate = 73
    case inputOutput = 74
    case protocolError = 76
    case noPermission = 77
    case badConfiguration = 78
}

/// What ends a tool before its work is done, and what the user reads of it.
package struct Failure: Error {
    package var status: ExitStatus
    package var message: String
    /// Where in the input, when it is bad input.
    package var place: Place?

    package init(_ status: ExitStatus, _ message: String, at place: Place? = nil) {
        self.status = status
        self.message = message
        self.place = place
    }

    /// A system call failed: "subject: reason". Reads `errno`.
    package init(_ status: ExitStatus, errno code: Int32, _ subject: String) {
        self.init(status, "\(subject): \(errorText(code))")
    }
}

/// The call cannot be understood: one line, then exit 64.
package struct UsageError: Error {
    package var message: String

    package init(_ message: String) {
        self.message = message
    }
}

/// What strerror(3) says of an error number.
package func errorText(_ code: Int32) -> String {
    guard let text = strerror(code) else { return "error \(code)" }
    return String(cString: text)
}

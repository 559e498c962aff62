import StreamCodec
import StreamTool

/// Why there is no connection, or no more. The message names host and port, the proxy if there
/// is one, and the reason; never a secret.
package struct TransportError: Error, CustomStringConvertible {
    package enum Kind: Sendable {
        /// Refused, unreachable, not resolved, an answer of the proxy that may change: try again.
        case cannotConnect
        /// There was a connection: try again.
        case lost
        /// The peer is not who it should be, or one of the two does not accept the other's
        /// credentials: trying again does not help.
        case verification
        /// A file or a value that was given cannot be used: trying again does not help.
        case configuration
        /// A certificate or a key cannot be read, or is not whole: it may be one that is just being
        /// replaced.
        case certificateFile
        /// Not connected in time: try again.
        case timeout
        /// What the peer speaks is no HTTP: trying again does not help.
        case noHTTP
        /// There is no libcurl.
        case noLibrary
    }

    package var kind: Kind
    package var message: String

    package init(_ kind: Kind, _ message: String) {
        self.kind = kind
        self.message = message
    }

    package var description: String { message }

    /// The status with which a tool ends that does not try again.
    package var status: ExitStatus {
        switch kind {
        case .cannotConnect, .lost, .timeout: .unavailable
        case .verification: .noPermission
        case .configuration, .certificateFile: .badConfiguration
        case .noHTTP: .protocolError
        case .noLibrary: .systemError
        }
    }

    /// True when the same may succeed later.
    package var isPassing: Bool {
        switch kind {
        case .cannotConnect, .lost, .timeout: true
        case .verification, .configuration, .certificateFile, .noHTTP, .noLibrary: false
        }
    }
    /// True when a file is at fault that a later attempt may find whole: for a tool that was told
    /// to go on, and knows that it is no slip of the command line.
    package var mayBeReplaced: Bool { kind == .certificateFile }
}

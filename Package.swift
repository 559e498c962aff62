// swift-tools-version: 6.2
import PackageDescription

/// Every module: warnings are errors. StreamCodec also under strict memory safety.
let strict: [SwiftSetting] = [.treatAllWarnings(as: .error)]

/// The filters run where there is no Swift and start in a fifth of a millisecond: fully static.
let staticTool: [LinkerSetting] = [
    .unsafeFlags(["-static-executable"], .when(configuration: .release))
]

/// What only `make bench` and `make fuzz` build.
let extras: [Target] =
    if Context.environment["STREAMUTILS_BENCH"] != nil {
        [
            .executableTarget(
                name: "bench-json", dependencies: ["StreamCodec"],
                path: "Tests/Benchmarks/bench-json")
        ]
    } else if Context.environment["STREAMUTILS_FUZZ"] != nil {
        ["fuzz-json", "fuzz-sse", "fuzz-gzip", "fuzz-roundtrip"].map { name in
            .executableTarget(
                name: name, dependencies: ["StreamCodec"], path: "Tests/Fuzz/\(name)",
                swiftSettings: [.unsafeFlags(["-sanitize=fuzzer,address", "-parse-as-library"])],
                linkerSettings: [.unsafeFlags(["-sanitize=fuzzer,address", "-use-ld=lld"])])
        }
    } else {
        []
    }

let package = Package(
    name: "streamutils",
    products: [
        .executable(name: "sse-encode", targets: ["sse-encode"]),
        .executable(name: "sse-decode", targets: ["sse-decode"]),
    ],
    targets: [
        .systemLibrary(
            name: "CZlib", providers: [.apt(["zlib1g-dev"])]),
        .target(name: "CBytes", cSettings: [.unsafeFlags(["-O2"])]),
        .target(name: "CLinux"),
        .target(
            name: "StreamCodec", dependencies: ["CBytes", "CZlib"],
            swiftSettings: strict + [.strictMemorySafety()]),
        .target(
            name: "StreamTool", dependencies: ["StreamCodec", "CLinux"], swiftSettings: strict),
        .executableTarget(
            name: "sse-encode", dependencies: ["StreamCodec", "StreamTool"],
            swiftSettings: strict, linkerSettings: staticTool),
        .executableTarget(
            name: "sse-decode", dependencies: ["StreamCodec", "StreamTool"],
            swiftSettings: strict, linkerSettings: staticTool),
        .testTarget(name: "StreamCodecTests", dependencies: ["CBytes", "StreamCodec"]),
        .testTarget(name: "ToolTests"),
        .testTarget(name: "TidyTests"),
    ] + extras,
    swiftLanguageModes: [.v6]
)

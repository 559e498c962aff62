// swift-tools-version: 6.2
import PackageDescription

/// libFuzzer finds its way by the branches of what it tests, so the codecs are instrumented too.
let isFuzzed = Context.environment["STREAMUTILS_FUZZ"] != nil

/// Every module: warnings are errors. StreamCodec also under strict memory safety.
let strict: [SwiftSetting] =
    [
        .treatAllWarnings(as: .error),
        // A megabyte of regular expressions in each tool that nothing uses.
        .unsafeFlags(["-Xfrontend", "-disable-implicit-string-processing-module-import"]),
    ]
    + (isFuzzed ? [.unsafeFlags(["-sanitize=fuzzer,address"])] : [])

/// The filters run where there is no Swift and start in a fifth of a millisecond: fully static.
let staticTool: [LinkerSetting] = [
    .unsafeFlags(["-static-executable"], .when(configuration: .release))
]

/// Name services and libcurl are shared libraries, so only the Swift run-time is linked in.
let dynamicTool: [LinkerSetting] = [
    .unsafeFlags(["-static-stdlib"], .when(configuration: .release))
]

/// What only `make bench` and `make fuzz` build.
let extras: [Target] =
    if Context.environment["STREAMUTILS_BENCH"] != nil {
        [
            .executableTarget(
                name: "bench-json", dependencies: ["StreamCodec"],
                path: "Tests/Benchmarks/bench-json")
        ]
    } else if isFuzzed {
        [
            .target(
                name: "FuzzSupport", dependencies: ["CBytes", "StreamCodec"],
                path: "Tests/Fuzz/FuzzSupport", swiftSettings: strict)
        ]
            + [
                "fuzz-json", "fuzz-sse", "fuzz-gzip", "fuzz-roundtrip", "fuzz-websocket",
                "fuzz-handshake", "fuzz-json-stream", "fuzz-request",
            ].map { name in
                .executableTarget(
                    name: name, dependencies: ["StreamCodec", "FuzzSupport"],
                    path: "Tests/Fuzz/\(name)",
                    swiftSettings: [.unsafeFlags(["-parse-as-library"])],
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
        .executable(name: "sse-decode-url", targets: ["sse-decode-url"]),
        .executable(name: "stream-sample", targets: ["stream-sample"]),
        .executable(name: "stream-batch", targets: ["stream-batch"]),
        .executable(name: "ws-cat", targets: ["ws-cat"]),
        .executable(name: "stream-serve", targets: ["stream-serve"]),
    ],
    targets: [
        .systemLibrary(
            name: "CZlib", providers: [.apt(["zlib1g-dev"])]),
        .target(
            name: "CBytes",
            cSettings: [.unsafeFlags(["-O2"])]
                + (isFuzzed ? [.unsafeFlags(["-fsanitize=fuzzer-no-link,address"])] : [])),
        .target(name: "CLinux"),
        .target(name: "CCurl"),
        .target(
            name: "StreamCodec", dependencies: ["CBytes", "CZlib"],
            swiftSettings: strict + [.strictMemorySafety()]),
        .target(
            name: "StreamTool", dependencies: ["StreamCodec", "CLinux"], swiftSettings: strict),
        .target(
            name: "StreamClient", dependencies: ["CCurl", "CLinux", "StreamCodec", "StreamTool"],
            swiftSettings: strict),
        .executableTarget(
            name: "sse-encode", dependencies: ["StreamCodec", "StreamTool"],
            swiftSettings: strict, linkerSettings: staticTool),
        // One tool in two programs: the filter, and what it becomes for a URL.
        .target(
            name: "SSEDecode",
            dependencies: ["CLinux", "StreamClient", "StreamCodec", "StreamTool"],
            path: "Sources/sse-decode", exclude: ["filter", "url"], swiftSettings: strict),
        .executableTarget(
            name: "sse-decode", dependencies: ["SSEDecode", "StreamTool"],
            path: "Sources/sse-decode/filter", swiftSettings: strict, linkerSettings: staticTool),
        .executableTarget(
            name: "sse-decode-url", dependencies: ["SSEDecode", "StreamTool"],
            path: "Sources/sse-decode/url", swiftSettings: strict, linkerSettings: dynamicTool),
        .executableTarget(
            name: "stream-sample", dependencies: ["StreamCodec", "StreamTool"],
            swiftSettings: strict, linkerSettings: staticTool),
        .executableTarget(
            name: "stream-batch", dependencies: ["CLinux", "StreamCodec", "StreamTool"],
            swiftSettings: strict, linkerSettings: staticTool),
        .executableTarget(
            name: "ws-cat", dependencies: ["CLinux", "StreamClient", "StreamCodec", "StreamTool"],
            swiftSettings: strict, linkerSettings: dynamicTool),
        .executableTarget(
            name: "stream-serve", dependencies: ["CLinux", "StreamCodec", "StreamTool"],
            resources: [.embedInCode("viewer.html")],
            // A worker's state belongs to its thread: no access need be checked for another.
            swiftSettings: strict + [.unsafeFlags(["-enforce-exclusivity=unchecked"])],
            linkerSettings: staticTool),
        .testTarget(name: "StreamCodecTests", dependencies: ["CBytes", "StreamCodec"]),
        .testTarget(name: "SSEDecodeTests", dependencies: ["SSEDecode", "StreamTool"]),
        .testTarget(name: "StreamBatchTests", dependencies: ["stream-batch", "StreamTool"]),
        .testTarget(name: "StreamClientTests", dependencies: ["StreamClient"]),
        .testTarget(
            name: "StreamServeTests", dependencies: ["StreamCodec", "StreamTool", "stream-serve"]),
        .testTarget(name: "StreamToolTests", dependencies: ["StreamTool"]),
        .testTarget(name: "ToolTests", dependencies: ["StreamCodec"]),
        .testTarget(name: "WsCatTests", dependencies: ["StreamCodec", "ws-cat"]),
        .testTarget(name: "TidyTests"),
    ] + extras,
    swiftLanguageModes: [.v6]
)

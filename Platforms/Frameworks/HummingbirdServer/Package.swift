// swift-tools-version: 6.0
import PackageDescription

let package = Package(
    name: "prefork-hummingbird",
    platforms: [.macOS(.v15)],
    products: [
        .library(name: "PreforkHummingbird", targets: ["PreforkHummingbird"]),
        .executable(name: "hummingbird-server", targets: ["hummingbird-server"]),
    ],
    dependencies: [
        .package(name: "prefork", path: "../../.."),
        .package(path: "../ExampleSupport"),
        .package(name: "prefork-nio", path: "../SwiftNIO"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
    ],
    targets: [
        .target(
            name: "PreforkHummingbird",
            dependencies: [
                .product(name: "Prefork", package: "prefork"),
                .product(name: "PreforkNIO", package: "prefork-nio"),
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "HummingbirdCore", package: "hummingbird"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
            ]
        ),
        .executableTarget(
            name: "hummingbird-server",
            dependencies: [
                "PreforkHummingbird",
                .product(name: "ExampleSupport", package: "ExampleSupport"),
                .product(name: "PreforkNIO", package: "prefork-nio"),
                .product(name: "Prefork", package: "prefork"),
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "Logging", package: "swift-log"),
            ]
        ),
    ],
    swiftLanguageModes: [.v6]
)

// swift-tools-version: 6.0
import PackageDescription

// Builds, or does not: the names of these modules are to be usable beside each other without qualifying any.
let package = Package(
    name: "Imports",
    platforms: [.macOS(.v15)],
    products: [.library(name: "Imports", targets: ["Imports"])],
    dependencies: [
        .package(name: "prefork", path: "../../.."),
        .package(url: "https://github.com/apple/swift-nio.git", from: "2.101.2"),
        .package(url: "https://github.com/hummingbird-project/hummingbird.git", from: "2.28.1"),
        .package(url: "https://github.com/apple/swift-log.git", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-metrics.git", from: "2.13.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle.git", from: "2.13.0"),
    ],
    targets: [
        .target(
            name: "Imports",
            dependencies: [
                .product(name: "Prefork", package: "prefork"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "Metrics", package: "swift-metrics"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
            ])
    ],
    swiftLanguageModes: [.v6]
)

// swift-tools-version: 6.0
import PackageDescription

let package = Package(
    name: "Observability",
    platforms: [.macOS(.v15)],
    products: [
        .library(name: "PreforkLogging", targets: ["PreforkLogging"]),
        .library(name: "PreforkMetrics", targets: ["PreforkMetrics"]),
        .executable(name: "observability-server", targets: ["observability-server"]),
    ],
    dependencies: [
        .package(name: "prefork", path: "../../.."),
        .package(path: "../ExampleSupport"),
        .package(url: "https://github.com/apple/swift-log.git", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-metrics.git", from: "2.13.0"),
    ],
    targets: [
        .target(
            name: "PreforkLogging",
            dependencies: [
                .product(name: "Prefork", package: "prefork"), .product(name: "Logging", package: "swift-log"),
            ]),
        .target(
            name: "PreforkMetrics",
            dependencies: [
                .product(name: "Prefork", package: "prefork"), .product(name: "Metrics", package: "swift-metrics"),
            ]),
        .executableTarget(
            name: "observability-server",
            dependencies: [
                "PreforkLogging", "PreforkMetrics",
                .product(name: "ExampleSupport", package: "ExampleSupport"),
            ]),
        .testTarget(
            name: "ObservabilityTests",
            dependencies: [
                "PreforkLogging", "PreforkMetrics",
                .product(name: "InMemoryLogging", package: "swift-log"),
                .product(name: "MetricsTestKit", package: "swift-metrics"),
            ]),
    ],
    swiftLanguageModes: [.v6]
)

// swift-tools-version: 6.0
import PackageDescription

let package = Package(
    name: "ServiceLifecycle",
    platforms: [.macOS(.v15)],
    products: [
        .library(name: "PreforkLifecycle", targets: ["PreforkLifecycle"]),
        .executable(name: "lifecycle-server", targets: ["lifecycle-server"]),
    ],
    dependencies: [
        .package(name: "prefork", path: "../../.."),
        .package(path: "../ExampleSupport"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle.git", from: "2.13.0"),
        .package(url: "https://github.com/apple/swift-log.git", from: "1.16.2"),
    ],
    targets: [
        .target(
            name: "PreforkLifecycle",
            dependencies: [
                .product(name: "Prefork", package: "prefork"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
            ]),
        .executableTarget(
            name: "lifecycle-server",
            dependencies: [
                "PreforkLifecycle",
                .product(name: "ExampleSupport", package: "ExampleSupport"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "UnixSignals", package: "swift-service-lifecycle"),
            ]),
    ],
    swiftLanguageModes: [.v6]
)

// swift-tools-version: 6.0
import PackageDescription

let package = Package(
    name: "prefork",
    platforms: [.macOS(.v15)],
    products: [
        .library(name: "Prefork", targets: ["Prefork"]),
        .executable(name: "hello-prefork", targets: ["hello-prefork"]),
    ],
    targets: [
        .target(
            name: "Prefork",
            dependencies: [.target(name: "Unsupported", condition: .when(platforms: [.windows, .wasi]))]
        ),
        .target(name: "Unsupported"),
        .executableTarget(name: "hello-prefork", dependencies: ["Prefork"]),
        .testTarget(name: "PreforkTests", dependencies: ["Prefork"]),
        .testTarget(name: "IntegrationTests", dependencies: ["Prefork", "hello-prefork"]),
    ],
    swiftLanguageModes: [.v6]
)

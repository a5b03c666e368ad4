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
        .target(name: "Prefork", dependencies: ["PlatformCheck"]),
        .target(name: "PlatformCheck"),
        .executableTarget(name: "hello-prefork", dependencies: ["Prefork"]),
        .testTarget(name: "PreforkTests", dependencies: ["Prefork"]),
        .testTarget(name: "IntegrationTests", dependencies: ["Prefork", "hello-prefork"]),
    ],
    swiftLanguageModes: [.v6]
)

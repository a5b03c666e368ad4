// swift-tools-version: 6.0
import PackageDescription

let package = Package(
    name: "prefork",
    platforms: [.macOS(.v15)],
    products: [
        .library(name: "Prefork", targets: ["Prefork"]),
        .library(name: "PreforkTakeover", targets: ["PreforkTakeover"]),
        .executable(name: "hello-prefork", targets: ["hello-prefork"]),
        .executable(name: "preforkctl", targets: ["preforkctl"]),
    ],
    targets: [
        .target(name: "Prefork", dependencies: ["PreforkLibc"]),
        .target(name: "PreforkLibc"),
        .target(name: "PreforkTakeover", dependencies: ["Prefork", "PreforkLibc"]),
        .executableTarget(name: "hello-prefork", dependencies: ["Prefork", "PreforkLibc"]),
        .executableTarget(name: "preforkctl", dependencies: ["PreforkLibc"]),
        .executableTarget(
            name: "takeover-server", dependencies: ["PreforkTakeover", "PreforkLibc"], path: "Tests/TakeoverServer"),
        .testTarget(name: "PreforkTests", dependencies: ["Prefork", "PreforkLibc", "preforkctl"]),
        .testTarget(
            name: "IntegrationTests",
            dependencies: ["Prefork", "PreforkLibc", "hello-prefork", "preforkctl", "takeover-server"]),
    ],
    swiftLanguageModes: [.v6]
)

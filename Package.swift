// swift-tools-version: 6.0
import PackageDescription

let package = Package(
    name: "prefork",
    platforms: [.macOS(.v15)],
    products: [
        .library(name: "Prefork", targets: ["Prefork"]),
        .library(name: "PreforkTakeover", targets: ["PreforkTakeover"]),
        .executable(name: "hello-prefork", targets: ["hello-prefork"]),
    ],
    targets: [
        .target(name: "Prefork", dependencies: ["PreforkLibc"]),
        .target(name: "PreforkLibc"),
        .target(name: "PreforkTakeover", dependencies: ["Prefork", "PreforkLibc"]),
        .executableTarget(name: "hello-prefork", dependencies: ["Prefork", "PreforkLibc"]),
        .executableTarget(
            name: "takeover-server", dependencies: ["PreforkTakeover", "PreforkLibc"], path: "Tests/TakeoverServer"),
        .testTarget(name: "PreforkTests", dependencies: ["Prefork", "PreforkLibc"]),
        .testTarget(
            name: "IntegrationTests", dependencies: ["Prefork", "PreforkLibc", "hello-prefork", "takeover-server"]),
    ],
    swiftLanguageModes: [.v6]
)

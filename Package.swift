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
        .target(name: "Prefork", dependencies: ["PreforkLibc"]),
        .target(name: "PreforkLibc"),
        .executableTarget(name: "hello-prefork", dependencies: ["Prefork", "PreforkLibc"]),
        .testTarget(name: "PreforkTests", dependencies: ["Prefork", "PreforkLibc"]),
        .testTarget(name: "IntegrationTests", dependencies: ["Prefork", "PreforkLibc", "hello-prefork"]),
    ],
    swiftLanguageModes: [.v6]
)

// swift-tools-version: 6.0
import PackageDescription

let package = Package(
    name: "prefork-nio",
    platforms: [.macOS(.v15)],
    products: [
        .library(name: "PreforkNIO", targets: ["PreforkNIO"]),
        .library(name: "PreforkNIOSSL", targets: ["PreforkNIOSSL"]),
        .executable(name: "nio-server", targets: ["nio-server"]),
    ],
    dependencies: [
        .package(name: "prefork", path: "../../.."),
        .package(path: "../ExampleSupport"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-extras", from: "1.35.2"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.6"),
    ],
    targets: [
        .target(
            name: "PreforkNIO",
            dependencies: [
                .product(name: "Prefork", package: "prefork"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOExtras", package: "swift-nio-extras"),
            ]
        ),
        .target(
            name: "PreforkNIOSSL",
            dependencies: [
                .product(name: "Prefork", package: "prefork"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
            ]
        ),
        .executableTarget(
            name: "nio-server",
            dependencies: [
                "PreforkNIO", "PreforkNIOSSL",
                .product(name: "ExampleSupport", package: "ExampleSupport"),
                .product(name: "Prefork", package: "prefork"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
            ]
        ),
    ],
    swiftLanguageModes: [.v6]
)

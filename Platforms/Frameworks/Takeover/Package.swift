// swift-tools-version: 6.0
import PackageDescription

// The same servers that each framework's own documentation shows, with one line of Prefork.
let package = Package(
    name: "takeover-servers",
    platforms: [.macOS(.v15)],
    products: [
        .executable(name: "hummingbird-takeover", targets: ["hummingbird-takeover"]),
        .executable(name: "flyingfox-takeover", targets: ["flyingfox-takeover"]),
        .executable(name: "nio-takeover", targets: ["nio-takeover"]),
        .executable(name: "readme-server", targets: ["readme-server"]),
    ],
    dependencies: [
        .package(name: "prefork", path: "../../.."),
        .package(path: "../ExampleSupport"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-extras", from: "1.20.0"),
        .package(url: "https://github.com/swhitty/FlyingFox.git", from: "0.27.1"),
    ],
    targets: [
        .executableTarget(
            name: "hummingbird-takeover",
            dependencies: [
                .product(name: "PreforkTakeover", package: "prefork"),
                .product(name: "ExampleSupport", package: "ExampleSupport"),
                .product(name: "Hummingbird", package: "hummingbird"),
            ]),
        .executableTarget(
            name: "flyingfox-takeover",
            dependencies: [
                .product(name: "PreforkTakeover", package: "prefork"),
                .product(name: "ExampleSupport", package: "ExampleSupport"),
                .product(name: "FlyingFox", package: "FlyingFox"),
            ]),
        .executableTarget(
            name: "nio-takeover",
            dependencies: [
                .product(name: "PreforkTakeover", package: "prefork"),
                .product(name: "ExampleSupport", package: "ExampleSupport"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOExtras", package: "swift-nio-extras"),
            ]),
        // The program of the README, word for word.
        .executableTarget(
            name: "readme-server",
            dependencies: [
                .product(name: "PreforkTakeover", package: "prefork"),
                .product(name: "Hummingbird", package: "hummingbird"),
            ]),
    ],
    swiftLanguageModes: [.v6]
)

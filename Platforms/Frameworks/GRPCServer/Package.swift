// swift-tools-version: 6.1
import PackageDescription

// gRPC Swift 2 needs these tools.
let package = Package(
    name: "grpc-servers",
    platforms: [.macOS(.v15)],
    products: [
        .executable(name: "grpc-takeover", targets: ["grpc-takeover"]),
        .executable(name: "grpc-server", targets: ["grpc-server"]),
    ],
    dependencies: [
        .package(name: "prefork", path: "../../.."),
        .package(path: "../ExampleSupport"),
        .package(url: "https://github.com/grpc/grpc-swift-2.git", from: "2.4.3"),
        .package(url: "https://github.com/grpc/grpc-swift-nio-transport.git", from: "2.9.2"),
    ],
    targets: [
        // The service of both servers.
        .target(name: "Calls", dependencies: [.product(name: "GRPCCore", package: "grpc-swift-2")]),
        .executableTarget(
            name: "grpc-takeover",
            dependencies: [
                "Calls",
                .product(name: "PreforkTakeover", package: "prefork"),
                .product(name: "ExampleSupport", package: "ExampleSupport"),
                .product(name: "GRPCCore", package: "grpc-swift-2"),
                .product(name: "GRPCNIOTransportHTTP2Posix", package: "grpc-swift-nio-transport"),
            ]),
        .executableTarget(
            name: "grpc-server",
            dependencies: [
                "Calls",
                .product(name: "Prefork", package: "prefork"),
                .product(name: "ExampleSupport", package: "ExampleSupport"),
                .product(name: "GRPCCore", package: "grpc-swift-2"),
                .product(name: "GRPCNIOTransportHTTP2Posix", package: "grpc-swift-nio-transport"),
            ]),
    ],
    swiftLanguageModes: [.v6]
)

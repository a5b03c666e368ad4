// swift-tools-version: 6.0
import PackageDescription

// In a folder of its own: a root package has its folder's name, and `Vapor` would take the dependency's place.
let package = Package(
    name: "vapor-takeover",
    platforms: [.macOS(.v15)],
    products: [.executable(name: "vapor-takeover", targets: ["vapor-takeover"])],
    dependencies: [
        .package(name: "prefork", path: "../../../.."),
        .package(path: "../../ExampleSupport"),
        .package(url: "https://github.com/vapor/vapor.git", from: "4.122.0"),
    ],
    targets: [
        .executableTarget(
            name: "vapor-takeover",
            dependencies: [
                .product(name: "PreforkTakeover", package: "prefork"),
                .product(name: "ExampleSupport", package: "ExampleSupport"),
                .product(name: "Vapor", package: "vapor"),
            ])
    ],
    swiftLanguageModes: [.v6]
)

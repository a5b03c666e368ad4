// swift-tools-version: 6.0
import PackageDescription

let package = Package(
    name: "Plain",
    platforms: [.macOS(.v15)],
    products: [.executable(name: "plain-server", targets: ["plain-server"])],
    dependencies: [
        .package(name: "prefork", path: "../../.."),
        .package(path: "../ExampleSupport"),
    ],
    targets: [
        .executableTarget(
            name: "plain-server",
            dependencies: [
                .product(name: "Prefork", package: "prefork"),
                .product(name: "ExampleSupport", package: "ExampleSupport"),
            ])
    ],
    swiftLanguageModes: [.v6]
)

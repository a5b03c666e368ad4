// swift-tools-version: 6.0
import PackageDescription

// What the examples beside this folder share: their command line and a few lines of HTTP. Nothing of it is needed to
// use Prefork.
let package = Package(
    name: "ExampleSupport",
    platforms: [.macOS(.v15)],
    products: [.library(name: "ExampleSupport", targets: ["ExampleSupport"])],
    dependencies: [
        .package(name: "prefork", path: "../../.."),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    ],
    targets: [
        .target(
            name: "ExampleSupport",
            dependencies: [
                .product(name: "Prefork", package: "prefork"),
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ])
    ],
    swiftLanguageModes: [.v6]
)

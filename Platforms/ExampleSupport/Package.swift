// swift-tools-version: 6.0
import PackageDescription

// What the examples beside this folder share: their command line and a few lines of HTTP. Nothing of it is needed to use Prefork.
let package = Package(
    name: "ExampleSupport",
    platforms: [.macOS(.v15)],
    products: [.library(name: "ExampleSupport", targets: ["ExampleSupport"])],
    dependencies: [.package(name: "prefork", path: "../..")],
    targets: [
        .target(name: "ExampleSupport", dependencies: [.product(name: "Prefork", package: "prefork")])
    ],
    swiftLanguageModes: [.v6]
)

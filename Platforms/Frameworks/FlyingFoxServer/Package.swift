// swift-tools-version: 6.0
import PackageDescription

// The folder is not called FlyingFox: a root package has its folder's name, and would take the dependency's place.
let package = Package(
    name: "FlyingFoxServer",
    platforms: [.macOS(.v15)],
    products: [
        .library(name: "PreforkFlyingFox", targets: ["PreforkFlyingFox"]),
        .executable(name: "flyingfox-server", targets: ["flyingfox-server"]),
    ],
    dependencies: [
        .package(name: "prefork", path: "../../.."),
        .package(path: "../ExampleSupport"),
        .package(url: "https://github.com/swhitty/FlyingFox.git", from: "0.27.1"),
    ],
    targets: [
        .target(
            name: "PreforkFlyingFox",
            dependencies: [
                .product(name: "Prefork", package: "prefork"),
                .product(name: "FlyingFox", package: "FlyingFox"),
                .product(name: "FlyingSocks", package: "FlyingFox"),
            ]),
        .executableTarget(
            name: "flyingfox-server",
            dependencies: [
                "PreforkFlyingFox",
                .product(name: "ExampleSupport", package: "ExampleSupport"),
            ]),
    ],
    swiftLanguageModes: [.v6]
)

// swift-tools-version: 6.0
import PackageDescription

// A separate package, because the references must get nothing from Prefork, not even its build settings.
let package = Package(
    name: "bare",
    targets: [
        .executableTarget(name: "bare-pause"),
        .executableTarget(name: "bare-prefork"),
    ],
    swiftLanguageModes: [.v6]
)

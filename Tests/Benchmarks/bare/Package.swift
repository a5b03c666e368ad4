// swift-tools-version: 6.0
import PackageDescription

// A package of its own: the references must not get anything from Prefork, not even its build settings.
let package = Package(
    name: "bare",
    targets: [
        .executableTarget(name: "bare-pause"),
        .executableTarget(name: "bare-prefork"),
    ],
    swiftLanguageModes: [.v6]
)

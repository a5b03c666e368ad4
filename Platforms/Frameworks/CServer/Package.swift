// swift-tools-version: 6.0
import PackageDescription

// A server in C. With `MICROHTTPD=static` in the environment, its library is linked into the executable. Otherwise it
// is a shared library, which sees this program's bind(2) and listen(2) only if the executable exports them.
let isStatic = Context.environment["MICROHTTPD"] == "static"

let package = Package(
    name: "c-takeover",
    platforms: [.macOS(.v15)],
    products: [.executable(name: "c-takeover", targets: ["c-takeover"])],
    dependencies: [
        .package(name: "prefork", path: "../../.."),
        .package(path: "../ExampleSupport"),
    ],
    targets: [
        .target(
            name: "CServer",
            linkerSettings: isStatic
                ? [.unsafeFlags(["-l:libmicrohttpd.a", "-lgnutls"])] : [.linkedLibrary("microhttpd")]),
        .executableTarget(
            name: "c-takeover",
            dependencies: [
                "CServer",
                .product(name: "PreforkTakeover", package: "prefork"),
                .product(name: "ExampleSupport", package: "ExampleSupport"),
            ],
            linkerSettings: isStatic
                ? []
                : [
                    .unsafeFlags([
                        "-Xlinker", "--export-dynamic-symbol=bind", "-Xlinker", "--export-dynamic-symbol=listen",
                    ])
                ]),
    ],
    swiftLanguageModes: [.v6]
)

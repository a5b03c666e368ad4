import Prefork

// Compiled, but never called. Each shape of a closure finds its form of `main` and `run`, and none is ambiguous.

private let address = Prefork.Address.tcp("127.0.0.1", port: 8080)

private func blocking() throws {
    try Prefork(address).run { child in _ = try child.takeListener() }
    try Prefork([address]).run { _ in }
    Prefork.main(address) { child in _ = try child.takeListener() }
}

private func blockingWithAnArray() {
    Prefork.main([address], configuration: .init(children: 2)) { _ in }
}

private func async() async throws {
    try await Prefork(address).run { child in await child.stopRequested() }
    try await Prefork(address).run { child in _ = try child.takeListener() }
    await Prefork.main(address) { child in await child.stopRequested() }
}

private func asyncThatAwaitsNothing() async {
    await Prefork.main(address) { child in _ = try child.takeListener() }
}

private func asyncWithAnArray() async {
    await Prefork.main([address]) { _ in }
}

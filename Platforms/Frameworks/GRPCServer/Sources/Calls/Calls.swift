import Foundation
public import GRPCCore

/// The service `prefork.Calls`. Its messages are texts, so that the example needs no code generator.
///
/// - `Get`, unary: `pid` is answered with the process id, `slow 100` after 100 ms, and everything else with itself.
/// - `Count`, server streaming: `3 100` is answered with 0, 1 and 2, each after 100 ms.
/// - `Fill`, server streaming: `32` is answered with 32 messages of 1 MiB.
/// - `Echo`, bidirectional streaming: each message is answered with itself.
public struct Calls: RegistrableRPCService {
    /// A service without state.
    public init() {}

    /// Adds the methods to a server.
    public func registerMethods<Transport>(with router: inout RPCRouter<Transport>) where Transport: ServerTransport {
        unary("Get", &router) { text in
            let words = text.split(separator: " ")
            if words.first == "slow" { try await Self.sleep(words.last) }
            return text == "pid" ? "\(getpid())" : text
        }
        streaming("Count", &router) { text, writer in
            let words = text.split(separator: " ")
            for number in 0..<(words.first.flatMap { Int($0) } ?? 0) {
                try await Self.sleep(words.last)
                try await writer.write("\(number)")
            }
        }
        streaming("Fill", &router) { text, writer in
            let mebibyte = String(repeating: "x", count: 1 << 20)
            for _ in 0..<min(Int(text) ?? 1, 64) { try await writer.write(mebibyte) }
        }
        register("Echo", &router) { request in
            StreamingServerResponse { writer in
                for try await message in request.messages { try await writer.write(message) }
                return [:]
            }
        }
    }

    private static func sleep(_ milliseconds: Substring?) async throws {
        try await Task.sleep(for: .milliseconds(milliseconds.flatMap { Int($0) } ?? 0))
    }
}

// What a generator makes from the description of a service.
extension Calls {
    private func unary<Transport>(
        _ method: String, _ router: inout RPCRouter<Transport>,
        answer: @escaping @Sendable (String) async throws -> String
    ) {
        register(method, &router) { request in
            let text = try await ServerRequest(stream: request).message
            return StreamingServerResponse(single: ServerResponse(message: try await answer(text)))
        }
    }

    private func streaming<Transport>(
        _ method: String, _ router: inout RPCRouter<Transport>,
        answer: @escaping @Sendable (String, RPCWriter<String>) async throws -> Void
    ) {
        register(method, &router) { request in
            let text = try await ServerRequest(stream: request).message
            return StreamingServerResponse { writer in
                try await answer(text, writer)
                return [:]
            }
        }
    }

    private func register<Transport>(
        _ method: String, _ router: inout RPCRouter<Transport>,
        answer: @escaping @Sendable (StreamingServerRequest<String>) async throws -> StreamingServerResponse<String>
    ) {
        let service = ServiceDescriptor(fullyQualifiedService: "prefork.Calls")
        router.registerHandler(
            forMethod: MethodDescriptor(service: service, method: method),
            deserializer: TextCoding(), serializer: TextCoding()
        ) { request, _ in
            try await answer(request)
        }
    }
}

/// UTF-8 instead of Protocol Buffers.
private struct TextCoding: MessageSerializer, MessageDeserializer {
    func serialize<Bytes: GRPCContiguousBytes>(_ message: String) throws -> Bytes { Bytes(message.utf8) }

    func deserialize<Bytes: GRPCContiguousBytes>(_ bytes: Bytes) throws -> String {
        bytes.withUnsafeBytes { String(decoding: $0, as: UTF8.self) }
    }
}

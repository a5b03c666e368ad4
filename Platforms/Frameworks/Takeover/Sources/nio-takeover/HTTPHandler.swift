#if canImport(Musl)
    import Musl
#elseif canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif
import NIOCore
import NIOHTTP1

/// Answers the requests of one connection, one after the other: the pipeline before it holds back the next.
final class HTTPHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private var request: HTTPRequestHead?

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head): request = head
        case .body: break
        case .end:
            guard let head = request else { return }
            request = nil
            answer(head, context)
        }
    }

    /// A client that is gone, or that breaks TLS.
    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    private func answer(_ head: HTTPRequestHead, _ context: ChannelHandlerContext) {
        let target = head.uri.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        switch target.first {
        case "/": write(.ok, "Hello world!", head, context)
        case "/pid": write(.ok, "\(getpid())", head, context)
        case "/slow":
            let milliseconds = Self.number("ms", in: target.count == 2 ? target[1] : "") ?? 100
            let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
            context.eventLoop.scheduleTask(in: .milliseconds(milliseconds)) {
                let (handler, context) = bound.value
                if context.channel.isActive { handler.write(.ok, "Hello world!", head, context) }
            }
        case "/big":
            let megabytes = Self.number("mb", in: target.count == 2 ? target[1] : "") ?? 1
            write(.ok, String(repeating: "x", count: Int(min(megabytes, 64)) << 20), head, context)
        default: write(.notFound, "not found", head, context)
        }
    }

    private func write(
        _ status: HTTPResponseStatus, _ text: String, _ request: HTTPRequestHead, _ context: ChannelHandlerContext
    ) {
        var headers = HTTPHeaders([("Content-Type", "text/plain"), ("Content-Length", "\(text.utf8.count)")])
        if !request.isKeepAlive {
            headers.add(name: "Connection", value: "close")
        } else if request.version == .http1_0 {
            headers.add(name: "Connection", value: "keep-alive")
        }
        let head = HTTPResponseHead(version: request.version, status: status, headers: headers)
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        if request.method != .HEAD {
            context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(string: text)))), promise: nil)
        }
        let written = context.writeAndFlush(wrapOutboundOut(.end(nil)))
        if !request.isKeepAlive {
            let bound = context.loopBound
            written.whenComplete { _ in bound.value.close(promise: nil) }
        }
    }

    /// The value of `name=NUMBER` in a query.
    private static func number(_ name: String, in query: Substring) -> Int64? {
        for pair in query.split(separator: "&") where pair.hasPrefix("\(name)=") {
            return Int64(pair.dropFirst(name.count + 1)).flatMap { (0...60_000).contains($0) ? $0 : nil }
        }
        return nil
    }
}

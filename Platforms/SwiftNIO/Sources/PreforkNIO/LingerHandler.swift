import NIOCore

/// Holds back a connection's `ChannelShouldQuiesceEvent` until one more message was read from it, or some time has passed.
///
/// At a stop SwiftNIO's and Hummingbird's HTTP pipelines close a connection at once that has no request in progress. That
/// cuts off the client whose request is on its way, and the one that has just connected. With this handler behind the HTTP
/// decoder such a request is answered, with `Connection: close`.
public final class LingerHandler: ChannelInboundHandler, RemovableChannelHandler {
    /// Any: messages are passed on as they are.
    public typealias InboundIn = NIOAny

    private enum State {
        case serving
        case lingering(Scheduled<Void>)
        case quiescing
    }

    private let time: TimeAmount
    private var state = State.serving

    /// - Parameter time: for idle connections.
    public init(_ time: TimeAmount = .milliseconds(500)) { self.time = time }

    /// The message comes first: a pipeline that has seen a request's head waits for its answer.
    public func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        context.fireChannelRead(data)
        if case .lingering(let end) = state {
            end.cancel()
            quiesce(context)
        }
    }

    /// Of all events one is held back.
    public func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        guard event is ChannelShouldQuiesceEvent, case .serving = state else {
            return context.fireUserInboundEventTriggered(event)
        }
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        state = .lingering(
            context.eventLoop.scheduleTask(in: time) {
                let (handler, context) = bound.value
                handler.quiesce(context)
            }
        )
    }

    /// The connection is closed.
    public func channelInactive(context: ChannelHandlerContext) {
        if case .lingering(let end) = state { end.cancel() }
        state = .quiescing
        context.fireChannelInactive()
    }

    private func quiesce(_ context: ChannelHandlerContext) {
        guard case .lingering = state else { return }
        state = .quiescing
        context.fireUserInboundEventTriggered(ChannelShouldQuiesceEvent())
    }
}

@available(*, unavailable)
extension LingerHandler: Sendable {}

import NIOCore

/// Holds back a connection's `ChannelShouldQuiesceEvent` until one more message was read from it, or some time has
/// passed.
///
/// At a stop SwiftNIO's and Hummingbird's HTTP pipelines close a connection at once that has no request in progress.
/// That cuts off the client whose request is on its way, and the one that has just connected. With this handler behind
/// the HTTP decoder such a request is answered, with `Connection: close`.
///
/// They also close one whose answer has been handed over but not sent yet, which cuts off the client that reads slowly.
/// During a stop this handler lets a connection close only when all that was written to it is the kernel's.
public final class LingerHandler: ChannelDuplexHandler, RemovableChannelHandler {
    /// Any: messages are passed on as they are.
    public typealias InboundIn = NIOAny
    /// The same.
    public typealias OutboundIn = NIOAny

    private enum State {
        case serving
        case lingering(Scheduled<Void>)
        case quiescing
    }

    /// How often it is looked whether a slow client has taken the rest.
    private static let lookInterval = TimeAmount.milliseconds(10)

    private let time: TimeAmount
    private var state = State.serving
    /// In a stop somebody has asked for the close, which may wait for the rest of an answer.
    private var isClosing = false
    private var isRemoved = false

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

    /// Of all events one is held back, and passed on once: SwiftNIO's pipeline takes a second one for a bug.
    public func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        guard event is ChannelShouldQuiesceEvent else { return context.fireUserInboundEventTriggered(event) }
        guard case .serving = state else { return }
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        state = .lingering(
            context.eventLoop.scheduleTask(in: time) {
                let (handler, context) = bound.value
                handler.quiesce(context)
            }
        )
    }

    /// In a stop: when everything is sent, or the client is gone.
    public func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        if case .serving = state { return context.close(mode: mode, promise: promise) }
        guard mode != .input, context.channel.isActive else { return context.close(mode: mode, promise: promise) }
        isClosing = true
        context.flush()
        closeWhenSent(context, mode, promise)
    }

    private func closeWhenSent(_ context: ChannelHandlerContext, _ mode: CloseMode, _ promise: EventLoopPromise<Void>?)
    {
        let options = context.channel.syncOptions
        guard context.channel.isActive, let unsent = try? options?.getOption(.bufferedWritableBytes), unsent > 0 else {
            // A context that was removed meanwhile leads nowhere.
            return isRemoved
                ? context.channel.close(mode: mode, promise: promise) : context.close(mode: mode, promise: promise)
        }
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        context.eventLoop.scheduleTask(in: Self.lookInterval) {
            let (handler, context) = bound.value
            handler.closeWhenSent(context, mode, promise)
        }
    }

    /// What is left of a request's head when the connection closes is no error any more, nor is what comes while the
    /// rest of the last answer is sent: nobody could be told, and SwiftNIO's pipeline, asked to answer it, traps in
    /// debug builds.
    public func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if case .quiescing = state, isClosing || !context.channel.isActive { return }
        context.fireErrorCaught(error)
    }

    /// A protocol that takes the connection over (an upgrade) hears of the stop at once.
    public func handlerRemoved(context: ChannelHandlerContext) {
        isRemoved = true
        guard case .lingering(let end) = state else { return }
        end.cancel()
        quiesce(context)
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

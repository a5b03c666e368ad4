// The rules' numbers, the inputs, the actions and the phases of the Supervisor.

extension Supervisor {
    /// The numbers of the rules, from a validated `Configuration`.
    struct Rules: Sendable {
        var recovery = Recovery.automatic
        /// How long an exit counts for `.upTo`. `nil` means for the whole life of the fleet.
        var window: Duration?
        var delays = Prefork.Configuration.Recovery.Delays()
        var limitPerSlot: Int?
        /// How long a ready child must stay alive until it counts as up.
        var settleTime: Duration = .seconds(1)
        var fatalExitStatuses: [Int32] = [78]
        var readinessTimeout: Duration = .seconds(60)
        var grace: Duration = .seconds(5)
        /// How long the children may go on accepting queued connections at a stop.
        var queueDrain: Duration = .seconds(1)
        /// How many processors the fleet may use. Recoveries may cost a share of them.
        var processors = 1
        /// The largest number of slots whose child a restart replaces at a time.
        var restartConcurrency = 1
        /// How long the first new child of a restart must serve before the other slots follow.
        var restartBake: Duration?
        /// The age at which a child is replaced. A tenth of it is spread over the children.
        var recycleAfter: Duration?
        /// How long a ready child may stay silent. `nil` if children send no beats.
        var heartbeatTimeout: Duration?
        /// The time between SIGABRT and SIGKILL for a child that does not respond.
        var abortGrace: Duration = .seconds(10)

        enum Recovery: Sendable, Hashable {
            /// The fleet gives up only while none of its children has ever been up.
            case automatic
            /// Ends the fleet after more unexpected exits than this.
            case upTo(exits: Int)
            /// Ends the fleet at the first unexpected exit.
            case never
            /// The fleet never gives up.
            case unlimited
        }
    }

    enum Input {
        /// Answers to the last `.spawn`.
        case spawned(slot: Int, pid: Int32)
        case spawnFailed(slot: Int, SystemError)
        /// The program's `spawn` closure failed. Another try seldom helps.
        case spawnRefused(slot: Int, PreforkError)
        /// The child serves. `startCost` is the processor time that its start took, if it says so.
        case ready(pid: Int32, startCost: Duration? = nil)
        /// The child drains although the master has not asked it to.
        case draining(pid: Int32, Prefork.DrainOrigin)
        /// The child's end of the channel is closed.
        case hungUp(pid: Int32)
        /// The child was reaped. Its pid must not be signalled any more.
        case exited(pid: Int32, End)
        /// A request to stop, and when it arrived. The children's time begins when they are asked, not then.
        case stop(Prefork.StopReason, at: Instant)
        /// A hook threw.
        case fail(description: String)
        /// The answer to `.closeAdmission`. Either no connection is queued that a ready child could accept, or that
        /// cannot be determined.
        case admissionClosed
        /// A request to replace all children by those of the program as it is on disk now.
        case restart
        /// A request to replace all children, and then the master's own program, by the program as it is on disk now.
        case upgrade
        /// A request to replace all children by others of the same build, because they need other listeners.
        case renew
        /// Answers to `.handOver`. The first one comes in the new program.
        case handedOver
        case handoverFailed(reason: String)
        /// Answers to `.prepareRestart`.
        case restartPrepared(generation: Int)
        case restartRefused(generation: Int, reason: String)
        /// A request to go back to the build before.
        case rollback
        /// A request for this number of slots, at least 1. The listeners of new slots are bound.
        case resize(to: Int)
        /// The child's program responds.
        case beat(pid: Int32)
        /// The child lets connections wait, and does nothing.
        case stalled(pid: Int32, Prefork.Event.Evidence)
        /// A request to replace a child, which serves until the new one is up.
        case recycle(pid: Int32, RecycleReason)
        /// No connection is queued on the listeners of a retired slot. Answers `.awaitEmptyQueue`.
        case queueEmpty(slot: Int)
        /// `nextDeadline` has come.
        case timer

        static func exited(pid: Int32, _ status: WaitStatus) -> Input { .exited(pid: pid, End(status: status)) }
    }

    /// The known facts of a child's end.
    struct End {
        var status: WaitStatus
        /// The processor time of its whole life, including its own reaped children.
        var processorTime: Duration?
        var isOutOfMemory = false
    }

    enum Action: Equatable {
        /// Start a child in this slot. Answered by `.spawned`, `.spawnFailed` or `.spawnRefused`.
        case spawn(slot: Int, launch: Int, generation: Int = 1, printsBacktrace: Bool)
        /// Open the program of this generation. Answered by `.restartPrepared` or `.restartRefused`.
        case prepareRestart(generation: Int)
        /// Let a generation have the same program as another one. Answered by `.restartPrepared`.
        case prepareRenewal(generation: Int, of: Int)
        /// Replace the master's own program by that of this generation. Answered by `.handedOver` or
        /// `.handoverFailed`.
        case handOver(generation: Int)
        /// Close the programs of all other generations. No child is started from them any more.
        case keepPrograms(generations: [Int])
        /// Answer `.queueEmpty` when no connection is queued on the listeners of this slot alone.
        case awaitEmptyQueue(slot: Int)
        /// Call the hooks for a started child. `replaces` is the child that was recovered, if any.
        case announce(pid: Int32, replaces: Int32?)
        /// Call the hook for the whole fleet.
        case announceMaster(pids: [Int32])
        case signal(pid: Int32, Signal)
        /// Send new connections to these slots only, as far as their listeners are sharded. The list is never empty. If
        /// no child is ready, all slots are in rotation, and connections wait there.
        case rotate(slots: SlotSet)
        /// Keep new connections out, and answer `.admissionClosed` when the ready children have accepted what is
        /// queued.
        case closeAdmission
        /// Close the master's copies of the listeners, because all children have been asked to exit.
        case closeListeners
        case report(Prefork.Event)
        /// No child is left. `run` throws `failure`, unless a hook threw.
        case finish
    }

    enum Phase: Equatable {
        /// Slots are filled one after another. Exits are not handled yet.
        case filling(next: Int)
        case running
        /// A stop has begun. The ready children accept what is queued, until this moment at the latest.
        case closingAdmission(until: Instant)
        /// All children have been asked to exit.
        case stopping
        case finished
    }
}

extension Supervisor.Rules {
    /// A child that has served for this long is proven: its end says nothing about its start.
    var provingTime: Duration { max(.seconds(1), settleTime) }
}

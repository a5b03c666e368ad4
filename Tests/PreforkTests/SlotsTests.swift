import Testing

@testable import Prefork

@Suite("Sets of slots") struct SlotSetTests {
    @Test("answer as sets of numbers do", arguments: [1, 2, 3]) func likeASet(seed: UInt64) {
        var random = SplitMix64(seed: seed)
        var (set, model) = (SlotSet(), Set<Int>())
        for _ in 0..<2000 {
            let slot = random.below(200)
            if random.chance(of: 500) {
                #expect(set.insert(slot) == model.insert(slot).inserted)
            } else {
                set.remove(slot)
                model.remove(slot)
            }
            let probe = random.below(300)
            #expect(set.count == model.count && set.isEmpty == model.isEmpty && set.last == model.max())
            #expect(set.contains(probe) == model.contains(probe))
            #expect(set.first(from: probe) == model.filter { $0 >= probe }.min())
            #expect(set.firstMissing(from: probe) == (probe...).first { !model.contains($0) })
            let below = set.prefix(below: probe)
            #expect(Array(below) == model.filter { $0 < probe }.sorted() && below.count == Array(below).count)
        }
        #expect(Array(set) == model.sorted())
    }

    @Test("are equal if they have the same elements, whatever they had before") func equal() {
        var set: SlotSet = [1, 200]
        set.remove(200)
        #expect(set == [1] && [1] == set)
        #expect(set != [2] && set != [1, 200] && set != [])
        set.formUnion([64, 130])
        #expect(set == [1, 64, 130] && set.count == 3)
    }

    @Test("of a range have its numbers", arguments: [0..<0, 0..<1, 0..<64, 0..<65, 3..<130]) func range(
        _ slots: Range<Int>
    ) {
        #expect(Array(SlotSet(slots)) == Array(slots) && SlotSet(slots).count == slots.count)
    }
}

@Suite("Times of slots") struct SlotTimesTests {
    @Test("know the earliest, its lowest slot, and which are due", arguments: [1, 2, 3]) func earliest(seed: UInt64) {
        var random = SplitMix64(seed: seed)
        var times = SlotTimes()
        var model: [Int: Instant] = [:]
        for _ in 0..<2000 {
            let slot = random.below(70)
            let time = random.chance(of: 400) ? nil : Instant(nanoseconds: Int64(random.below(20)))
            times.set(slot, time)
            model[slot] = time
            let earliest = model.values.min()
            #expect(times.earliest == earliest)
            #expect(times.first == model.filter { $0.value == earliest }.keys.min())
            let now = Instant(nanoseconds: Int64(random.below(25)) - 2)
            #expect(times.due(at: now) == model.filter { $0.value <= now }.keys.sorted())
        }
    }

    @Test("tell a time that never comes from none") func never() {
        var times = SlotTimes()
        times.set(3, Instant(nanoseconds: .max))
        #expect(times.earliest == Instant(nanoseconds: .max) && times.first == 3)
        times.set(3, nil)
        #expect(times.earliest == nil && times.first == nil)
    }
}

@Suite("Slots") struct SlotsTests {
    @Test("name those that have changed since the last look") func changes() {
        var slots = Slots(count: 3)
        #expect(slots.takeChanged() == [0, 1, 2])
        #expect(slots.takeChanged() == [])
        slots[1].launches = 7
        slots.append(Supervisor.Slot())
        #expect(slots.takeChanged() == [1, 3])
    }

    @Test("answer for another build once a restart wants one") func aim() {
        var slots = Slots(count: 2)
        let child = Supervisor.Child(
            pid: 100, launch: 0, generation: 1, spawnedAt: Bench.begin,
            stage: .ready(since: Bench.begin, upAt: nil, provenAt: nil))
        slots[1].current = child
        #expect(slots.all(.unsettled) == [] && slots.all(.replaceable) == [])
        slots.aim = Slots.Aim(generation: 2, goesBack: false)
        #expect(slots.all(.unsettled) == [0, 1] && slots.all(.mixed) == [0, 1])
        #expect(slots.all(.replaceable) == [0, 1] && slots.all(.vacant) == [0])
        slots.aim = Slots.Aim(generation: 1, goesBack: true)
        #expect(slots.all(.unsettled) == [0] && slots.all(.mixed) == [] && slots.all(.turning) == [0])
        slots.aim = nil
        #expect(slots.all(.unsettled) == [])
    }
}

import FunctionModel
import Testing

@Suite struct MemoryBudgetTests {
    @Test func givesBackWhatIsLetGoOf() {
        let budget = MemoryBudget(limit: 1 << 20)
        var charge: MemoryBudget.Charge? = budget.charge()
        #expect(charge?.add(1 << 20) == true && charge?.add(1) == false)
        charge?.reduce(to: 100)
        #expect(budget.used == 100)
        charge = nil
        #expect(budget.used == 0)
    }

    /// Who fills it keeps out nobody's small ones.
    @Test func smallOnesFindRoom() {
        let budget = MemoryBudget(limit: 1 << 20)
        let full = budget.charge()
        #expect(full.add(1 << 20))
        let small = budget.charge(of: "f")
        #expect(small.add(MemoryBudget.free) && !small.add(1))
        #expect(budget.used == 1 << 20 + MemoryBudget.free)
    }

    /// Neither are small ones without end.
    @Test func smallOnesTogetherHaveAnEnd() {
        let budget = MemoryBudget(limit: 0)
        var held: [MemoryBudget.Charge] = []
        for _ in 0..<2000 {
            let charge = budget.charge()
            if charge.add(MemoryBudget.free) { held.append(charge) }
        }
        #expect(held.count == 1024)
    }

    /// What was nobody's in particular becomes a function's, whole or not at all.
    @Test func movesToAnotherOwner() {
        let budget = MemoryBudget(limit: 16 << 20)
        let first = budget.charge(of: "unknown"), second = budget.charge(of: "unknown"), third = budget.charge(of: "f")
        #expect(first.add(8 << 20) && !second.add(1 << 20))
        #expect(first.move(to: "f") && second.add(1 << 20), "the first has its room again")
        #expect(!third.add(1 << 20), "and the other has it no more")
        #expect(!second.move(to: "f") && budget.used == 9 << 20)
        first.reduce(to: 0)
        #expect(second.move(to: "f") && third.add(7 << 20) && !third.add(1 << 20))
        #expect(budget.used == 8 << 20)
    }

    @Test func oneFunctionTakesHalfAtMost() {
        let budget = MemoryBudget(limit: 16 << 20)
        let first = budget.charge(of: "f"), second = budget.charge(of: "f"), other = budget.charge(of: "g")
        #expect(first.add(8 << 20) && !second.add(1 << 20) && other.add(1 << 20))
        first.reduce(to: 0)
        #expect(second.add(1 << 20) && budget.used == 2 << 20)
    }
}

import FunctionModel
import Testing

@Suite("Values that are kept while they are wanted")
struct GenerationsTests {
    @Test("What is wanted again and again stays, whatever else comes by")
    func keepsWhatIsWanted() {
        var kept = Generations<Int, String>(each: 10)
        kept.keep("wanted", for: -1)
        for number in 0..<1000 {
            kept.keep("\(number)", for: number)
            #expect(kept.use(-1) == "wanted")
            #expect(kept.count <= 20)
        }
    }

    @Test("As many as there are places for are all found again, in any order")
    func holdsASetOfItsSize() {
        var kept = Generations<Int, Int>(each: 100)
        for number in 0..<100 { kept.keep(number, for: number) }
        for round in 1...3 {
            for number in 0..<100 { #expect(kept.use(number * 7 * round % 100) == number * 7 * round % 100) }
        }
    }

    @Test("One more than there is room for costs the oldest, not all")
    func losesNotAll() {
        var kept = Generations<Int, Int>(each: 100)
        for number in 0..<201 { kept.keep(number, for: number) }
        let found = (0..<201).filter { kept.use($0) != nil }
        #expect(found.count > 100)
        #expect(found.contains(200))
    }

    @Test("What is forgotten is in no generation")
    func forgets() {
        var kept = Generations<Int, Int>(each: 10)
        for number in 0..<20 { kept.keep(number, for: number) }
        kept.forget { $0.isMultiple(of: 2) }
        #expect((0..<20).filter { kept.use($0) != nil } == (0..<20).filter { !$0.isMultiple(of: 2) })
        kept.keep(1, for: 3)
        #expect(kept.use(3) == 1)
    }
}

import BulkheadCommands

@main
enum Main {
    static func main() { BulkheadCommand.runAndExit() }
}

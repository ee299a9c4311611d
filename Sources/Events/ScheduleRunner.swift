import ServiceLifecycle

/// Goes by the clock until the host ends.
package struct ScheduleRunner: Service {
    private let schedules: Schedules

    package init(_ schedules: Schedules) { self.schedules = schedules }

    package func run() async throws {
        await cancelWhenGracefulShutdown {
            while !Task.isCancelled {
                let wait = await schedules.tick()
                try? await Task.sleep(for: wait)  // it throws only when the host ends
            }
        }
    }
}

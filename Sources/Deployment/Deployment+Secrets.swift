import FunctionModel
import Sandbox

extension Deployment {
    /// What functions are given that only the host knows.
    package struct Secrets: Sendable {
        /// Names of those that there are not.
        package var missing: @Sendable ([String: String]) -> [String]
        /// Variables as a process gets them; nil where one is missing.
        package var environment: @Sendable ([String: String]) -> [String]?
        /// A JSON object of all of them; nil where one is missing.
        package var document: @Sendable ([String: String]) -> [UInt8]?

        package init(
            missing: @escaping @Sendable ([String: String]) -> [String],
            environment: @escaping @Sendable ([String: String]) -> [String]?,
            document: @escaping @Sendable ([String: String]) -> [UInt8]?
        ) {
            self.missing = missing
            self.environment = environment
            self.document = document
        }

        /// There are none.
        package static let none = Secrets(
            missing: { Set($0.values).sorted() }, environment: { $0.isEmpty ? [] : nil },
            document: { $0.isEmpty ? [] : nil })
    }
}

extension Deployment.Secrets {
    /// Puts those of a manifest into its plan, the way it asks for.
    /// - Returns: false where one is missing, or is nothing that a variable can carry and is to be one.
    func give(_ manifest: Manifest, to plan: inout LaunchPlan) -> Bool {
        guard !manifest.secrets.isEmpty else { return true }
        switch manifest.secretsAs {
        case .environment:
            guard let variables = environment(manifest.secrets) else { return false }
            plan.environment += variables
        case .descriptor:
            guard let json = document(manifest.secrets) else { return false }
            plan.secrets = json
        }
        return true
    }
}

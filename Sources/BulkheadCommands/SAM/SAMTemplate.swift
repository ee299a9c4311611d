import FunctionModel

/// An AWS SAM template (https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/sam-specification.html) as a
/// project: a value made of text alone.
struct SAMTemplate {
    /// Where it is meant to be.
    struct Setting {
        var region = "us-east-1"
        var stack = "bulkhead"
        /// Where it stands: what its paths are meant from.
        var folder = "."
        /// Parameters' values.
        var parameters: [String: String] = [:]
    }

    let project: ProjectFile
    /// By their lines.
    let complaints: [TemplateComplaint]
    /// How many more there were: what has so many is not carried out.
    let unsaid: Int

    /// - Returns: nil for what is no template.
    /// - Throws: for what cannot be read at all.
    init?(_ text: String, _ setting: Setting) throws(TemplateComplaint) {
        guard let members = try TemplateText.members(of: text) else { return nil }
        let reading = TemplateReading(setting)
        let outline = TemplateOutline(members, reading)
        let apis = TemplateAPIReader(reading: reading).read(outline)
        let functions = outline.resources.filter { $0.type == TemplateResource.function }.map { resource in
            TemplateFunctionReader(resource, outline.globals["Function"], apis, reading).draft
        }
        project = ProjectFile(functions, reading)
        complaints = reading.complaints.sorted { $0.line < $1.line }
        unsaid = reading.unsaid
    }
}

/// What functions of AWS's are attached to, and of which there is nothing here: lists are empty, and nobody finds one by its name.
struct MappingOperations {
    func listMappings() -> LambdaAnswer { LambdaAnswer(status: 200, ["EventSourceMappings": []]) }

    /// - Throws: `LambdaError` not_found, at all times.
    func mapping() throws -> LambdaAnswer {
        throw LambdaError(.notFound, "The resource you requested does not exist.")
    }

    func listLayers() -> LambdaAnswer { LambdaAnswer(status: 200, ["Layers": []]) }
    func listLayerVersions() -> LambdaAnswer { LambdaAnswer(status: 200, ["LayerVersions": []]) }
}

import FunctionModel

extension Lambda {
    /// The operations that are served. Which others there are, `OperationTable` says.
    enum Operation: String, CaseIterable {
        case addPermission = "AddPermission"
        case createAlias = "CreateAlias"
        case createEventSourceMapping = "CreateEventSourceMapping"
        case createFunction = "CreateFunction"
        case createFunctionUrlConfig = "CreateFunctionUrlConfig"
        case deleteAlias = "DeleteAlias"
        case deleteEventSourceMapping = "DeleteEventSourceMapping"
        case deleteFunction = "DeleteFunction"
        case deleteFunctionConcurrency = "DeleteFunctionConcurrency"
        case deleteFunctionEventInvokeConfig = "DeleteFunctionEventInvokeConfig"
        case deleteFunctionUrlConfig = "DeleteFunctionUrlConfig"
        case deleteProvisionedConcurrencyConfig = "DeleteProvisionedConcurrencyConfig"
        case getAccountSettings = "GetAccountSettings"
        case getAlias = "GetAlias"
        case getEventSourceMapping = "GetEventSourceMapping"
        case getFunction = "GetFunction"
        case getFunctionCodeSigningConfig = "GetFunctionCodeSigningConfig"
        case getFunctionConcurrency = "GetFunctionConcurrency"
        case getFunctionConfiguration = "GetFunctionConfiguration"
        case getFunctionEventInvokeConfig = "GetFunctionEventInvokeConfig"
        case getFunctionRecursionConfig = "GetFunctionRecursionConfig"
        case getFunctionUrlConfig = "GetFunctionUrlConfig"
        case getPolicy = "GetPolicy"
        case getProvisionedConcurrencyConfig = "GetProvisionedConcurrencyConfig"
        case getRuntimeManagementConfig = "GetRuntimeManagementConfig"
        case invoke = "Invoke"
        case invokeAsync = "InvokeAsync"
        case invokeStreaming = "InvokeWithResponseStream"
        case listAliases = "ListAliases"
        case listEventSourceMappings = "ListEventSourceMappings"
        case listFunctionEventInvokeConfigs = "ListFunctionEventInvokeConfigs"
        case listFunctions = "ListFunctions"
        case listFunctionUrlConfigs = "ListFunctionUrlConfigs"
        case listLayers = "ListLayers"
        case listLayerVersions = "ListLayerVersions"
        case listProvisionedConcurrencyConfigs = "ListProvisionedConcurrencyConfigs"
        case listTags = "ListTags"
        case listVersionsByFunction = "ListVersionsByFunction"
        case publishVersion = "PublishVersion"
        case putFunctionConcurrency = "PutFunctionConcurrency"
        case putFunctionEventInvokeConfig = "PutFunctionEventInvokeConfig"
        case putProvisionedConcurrencyConfig = "PutProvisionedConcurrencyConfig"
        case removePermission = "RemovePermission"
        case tagResource = "TagResource"
        case untagResource = "UntagResource"
        case updateAlias = "UpdateAlias"
        case updateEventSourceMapping = "UpdateEventSourceMapping"
        case updateFunctionCode = "UpdateFunctionCode"
        case updateFunctionConfiguration = "UpdateFunctionConfiguration"
        case updateFunctionEventInvokeConfig = "UpdateFunctionEventInvokeConfig"
        case updateFunctionUrlConfig = "UpdateFunctionUrlConfig"

        /// Whether its body is an event, and not what is wished.
        var takesEvent: Bool { self == .invoke || self == .invokeAsync || self == .invokeStreaming }

        /// Who may ask for it.
        var role: Principal.Role {
            switch self {
            // What waits in a queue is for no function in particular.
            case .createEventSourceMapping, .updateEventSourceMapping, .deleteEventSourceMapping: .admin
            default: takesEvent ? .invoke : .deploy
            }
        }
    }
}

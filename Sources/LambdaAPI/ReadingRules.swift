// Made by generate.py from botocore's model of Lambda's API; not to be edited.

/// What the served operations take that change nothing: a part of `inputRules`.
let readingRules: [String: [InputRule]] = [
    "GetAccountSettings": [],
    "GetAlias": [
        InputRule(#"FunctionName"#, .uri, .string, sent: #"FunctionName"#, isRequired: true, min: 1, max: 140),
        InputRule(
            #"Name"#, .uri, .string, sent: #"Name"#, isRequired: true, min: 1, max: 128,
            pattern: #"(?!^[0-9]+$)([a-zA-Z0-9-_]+)"#),
    ],
    "GetEventSourceMapping": [
        InputRule(#"UUID"#, .uri, .string, sent: #"UUID"#, isRequired: true, min: 36, max: 36)
    ],
    "GetFunction": [
        InputRule(#"FunctionName"#, .uri, .string, sent: #"FunctionName"#, isRequired: true, min: 1, max: 256),
        InputRule(
            #"Qualifier"#, .querystring, .string, sent: #"Qualifier"#, min: 1, max: 128,
            pattern: #"\$(LATEST(\.PUBLISHED)?)|[a-zA-Z0-9-_$]+"#),
    ],
    "GetFunctionCodeSigningConfig": [
        InputRule(#"FunctionName"#, .uri, .string, sent: #"FunctionName"#, isRequired: true, min: 1, max: 256)
    ],
    "GetFunctionConcurrency": [
        InputRule(#"FunctionName"#, .uri, .string, sent: #"FunctionName"#, isRequired: true, min: 1, max: 140)
    ],
    "GetFunctionConfiguration": [
        InputRule(#"FunctionName"#, .uri, .string, sent: #"FunctionName"#, isRequired: true, min: 1, max: 256),
        InputRule(
            #"Qualifier"#, .querystring, .string, sent: #"Qualifier"#, min: 1, max: 128,
            pattern: #"\$(LATEST(\.PUBLISHED)?)|[a-zA-Z0-9-_$]+"#),
    ],
    "GetFunctionEventInvokeConfig": [
        InputRule(#"FunctionName"#, .uri, .string, sent: #"FunctionName"#, isRequired: true, min: 1, max: 256),
        InputRule(
            #"Qualifier"#, .querystring, .string, sent: #"Qualifier"#, min: 1, max: 128,
            pattern: #"\$(LATEST(\.PUBLISHED)?)|[a-zA-Z0-9-_$]+"#),
    ],
    "GetFunctionRecursionConfig": [
        InputRule(#"FunctionName"#, .uri, .string, sent: #"FunctionName"#, isRequired: true, min: 1, max: 140)
    ],
    "GetFunctionUrlConfig": [
        InputRule(#"FunctionName"#, .uri, .string, sent: #"FunctionName"#, isRequired: true, min: 1, max: 140),
        InputRule(
            #"Qualifier"#, .querystring, .string, sent: #"Qualifier"#, min: 1, max: 128,
            pattern: #"((?!^\d+$)^[0-9a-zA-Z-_]+$)"#),
    ],
    "GetPolicy": [
        InputRule(#"FunctionName"#, .uri, .string, sent: #"FunctionName"#, isRequired: true, min: 1, max: 256),
        InputRule(
            #"Qualifier"#, .querystring, .string, sent: #"Qualifier"#, min: 1, max: 128,
            pattern: #"\$(LATEST(\.PUBLISHED)?)|[a-zA-Z0-9-_$]+"#),
    ],
    "GetProvisionedConcurrencyConfig": [
        InputRule(#"FunctionName"#, .uri, .string, sent: #"FunctionName"#, isRequired: true, min: 1, max: 140),
        InputRule(
            #"Qualifier"#, .querystring, .string, sent: #"Qualifier"#, isRequired: true, min: 1, max: 128,
            pattern: #"(|[a-zA-Z0-9$_-]+)"#),
    ],
    "GetRuntimeManagementConfig": [
        InputRule(#"FunctionName"#, .uri, .string, sent: #"FunctionName"#, isRequired: true, min: 1, max: 256),
        InputRule(
            #"Qualifier"#, .querystring, .string, sent: #"Qualifier"#, min: 1, max: 128,
            pattern: #"\$(LATEST(\.PUBLISHED)?)|[a-zA-Z0-9-_$]+"#),
    ],
    "ListAliases": [
        InputRule(#"FunctionName"#, .uri, .string, sent: #"FunctionName"#, isRequired: true, min: 1, max: 140),
        InputRule(
            #"FunctionVersion"#, .querystring, .string, sent: #"FunctionVersion"#, min: 1, max: 1024,
            pattern: #"(\$LATEST(\.PUBLISHED)?|[0-9]+)"#),
        InputRule(#"Marker"#, .querystring, .string, sent: #"Marker"#),
        InputRule(#"MaxItems"#, .querystring, .whole, sent: #"MaxItems"#, min: 1, max: 10000),
    ],
    "ListEventSourceMappings": [
        InputRule(
            #"EventSourceArn"#, .querystring, .string, sent: #"EventSourceArn"#, min: 0, max: 10000,
            pattern:
                #"arn:(aws[a-zA-Z0-9-]*):([a-zA-Z0-9\-])+:((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1})?:(\d{12})?:(.*)"#
        ),
        InputRule(#"FunctionName"#, .querystring, .string, sent: #"FunctionName"#, min: 1, max: 256),
        InputRule(#"Marker"#, .querystring, .string, sent: #"Marker"#),
        InputRule(#"MaxItems"#, .querystring, .whole, sent: #"MaxItems"#, min: 1, max: 10000),
    ],
    "ListFunctionEventInvokeConfigs": [
        InputRule(#"FunctionName"#, .uri, .string, sent: #"FunctionName"#, isRequired: true, min: 1, max: 256),
        InputRule(#"Marker"#, .querystring, .string, sent: #"Marker"#),
        InputRule(#"MaxItems"#, .querystring, .whole, sent: #"MaxItems"#, min: 1, max: 50),
    ],
    "ListFunctionUrlConfigs": [
        InputRule(#"FunctionName"#, .uri, .string, sent: #"FunctionName"#, isRequired: true, min: 1, max: 140),
        InputRule(#"Marker"#, .querystring, .string, sent: #"Marker"#),
        InputRule(#"MaxItems"#, .querystring, .whole, sent: #"MaxItems"#, min: 1, max: 50),
    ],
    "ListFunctions": [
        InputRule(
            #"MasterRegion"#, .querystring, .string, sent: #"MasterRegion"#, min: 1, max: 50,
            pattern: #"ALL|(eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}"#),
        InputRule(#"FunctionVersion"#, .querystring, .string, sent: #"FunctionVersion"#, words: [#"ALL"#]),
        InputRule(#"Marker"#, .querystring, .string, sent: #"Marker"#),
        InputRule(#"MaxItems"#, .querystring, .whole, sent: #"MaxItems"#, min: 1, max: 10000),
    ],
    "ListLayerVersions": [
        InputRule(
            #"CompatibleArchitecture"#, .querystring, .string, sent: #"CompatibleArchitecture"#,
            words: [#"x86_64"#, #"arm64"#]),
        InputRule(
            #"CompatibleRuntime"#, .querystring, .string, sent: #"CompatibleRuntime"#,
            words: [
                #"nodejs"#, #"nodejs4.3"#, #"nodejs6.10"#, #"nodejs8.10"#, #"nodejs10.x"#, #"nodejs12.x"#,
                #"nodejs14.x"#, #"nodejs16.x"#, #"nodejs18.x"#, #"nodejs20.x"#, #"nodejs22.x"#, #"nodejs24.x"#,
                #"java8"#, #"java8.al2"#, #"java11"#, #"java17"#, #"java21"#, #"java25"#, #"python2.7"#, #"python3.6"#,
                #"python3.7"#, #"python3.8"#, #"python3.9"#, #"python3.10"#, #"python3.11"#, #"python3.12"#,
                #"python3.13"#, #"python3.14"#, #"dotnetcore1.0"#, #"dotnetcore2.0"#, #"dotnetcore2.1"#,
                #"dotnetcore3.1"#, #"dotnet6"#, #"dotnet8"#, #"dotnet10"#, #"nodejs4.3-edge"#, #"go1.x"#, #"ruby2.5"#,
                #"ruby2.7"#, #"ruby3.2"#, #"ruby3.3"#, #"ruby3.4"#, #"ruby4.0"#, #"provided"#, #"provided.al2"#,
                #"provided.al2023"#, #"nodejs26.x"#, #"python3.15"#, #"java8.al2023"#, #"java11.al2023"#,
                #"java17.al2023"#, #"custom"#,
            ]),
        InputRule(
            #"LayerName"#, .uri, .string, sent: #"LayerName"#, isRequired: true, min: 1, max: 2048,
            pattern:
                #"(arn:(aws[a-zA-Z-]*)?:lambda:(eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:\d{12}:layer:[a-zA-Z0-9-_]{1,140}|[a-zA-Z0-9-_]{1,140})"#
        ),
        InputRule(#"Marker"#, .querystring, .string, sent: #"Marker"#),
        InputRule(#"MaxItems"#, .querystring, .whole, sent: #"MaxItems"#, min: 1, max: 50),
    ],
    "ListLayers": [
        InputRule(
            #"CompatibleArchitecture"#, .querystring, .string, sent: #"CompatibleArchitecture"#,
            words: [#"x86_64"#, #"arm64"#]),
        InputRule(
            #"CompatibleRuntime"#, .querystring, .string, sent: #"CompatibleRuntime"#,
            words: [
                #"nodejs"#, #"nodejs4.3"#, #"nodejs6.10"#, #"nodejs8.10"#, #"nodejs10.x"#, #"nodejs12.x"#,
                #"nodejs14.x"#, #"nodejs16.x"#, #"nodejs18.x"#, #"nodejs20.x"#, #"nodejs22.x"#, #"nodejs24.x"#,
                #"java8"#, #"java8.al2"#, #"java11"#, #"java17"#, #"java21"#, #"java25"#, #"python2.7"#, #"python3.6"#,
                #"python3.7"#, #"python3.8"#, #"python3.9"#, #"python3.10"#, #"python3.11"#, #"python3.12"#,
                #"python3.13"#, #"python3.14"#, #"dotnetcore1.0"#, #"dotnetcore2.0"#, #"dotnetcore2.1"#,
                #"dotnetcore3.1"#, #"dotnet6"#, #"dotnet8"#, #"dotnet10"#, #"nodejs4.3-edge"#, #"go1.x"#, #"ruby2.5"#,
                #"ruby2.7"#, #"ruby3.2"#, #"ruby3.3"#, #"ruby3.4"#, #"ruby4.0"#, #"provided"#, #"provided.al2"#,
                #"provided.al2023"#, #"nodejs26.x"#, #"python3.15"#, #"java8.al2023"#, #"java11.al2023"#,
                #"java17.al2023"#, #"custom"#,
            ]),
        InputRule(#"Marker"#, .querystring, .string, sent: #"Marker"#),
        InputRule(#"MaxItems"#, .querystring, .whole, sent: #"MaxItems"#, min: 1, max: 50),
    ],
    "ListProvisionedConcurrencyConfigs": [
        InputRule(#"FunctionName"#, .uri, .string, sent: #"FunctionName"#, isRequired: true, min: 1, max: 140),
        InputRule(#"Marker"#, .querystring, .string, sent: #"Marker"#),
        InputRule(#"MaxItems"#, .querystring, .whole, sent: #"MaxItems"#, min: 1, max: 50),
    ],
    "ListTags": [
        InputRule(#"Resource"#, .uri, .string, sent: #"Resource"#, isRequired: true, min: 1, max: 10000)
    ],
    "ListVersionsByFunction": [
        InputRule(#"FunctionName"#, .uri, .string, sent: #"FunctionName"#, isRequired: true, min: 1, max: 256),
        InputRule(#"Marker"#, .querystring, .string, sent: #"Marker"#),
        InputRule(#"MaxItems"#, .querystring, .whole, sent: #"MaxItems"#, min: 1, max: 10000),
    ],
]

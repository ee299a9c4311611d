// Made by generate.py from botocore's model of Lambda's API; not to be edited.

/// What the served operations take, by their names.
let inputRules = changingRules.merging(readingRules) { one, _ in one }

private let changingRules: [String: [InputRule]] = [
    "AddPermission": [
        InputRule(#"FunctionName"#, .uri, .string, sent: #"FunctionName"#, isRequired: true, min: 1, max: 256),
        InputRule(#"StatementId"#, .body, .string, isRequired: true, min: 1, max: 100, pattern: #"([a-zA-Z0-9-_]+)"#),
        InputRule(
            #"Action"#, .body, .string, isRequired: true, min: 0, max: 10000,
            pattern: #"(lambda:[*]|lambda:[a-zA-Z]+|[*])"#),
        InputRule(#"Principal"#, .body, .string, isRequired: true, min: 0, max: 2048, pattern: #"[^\s]+"#),
        InputRule(
            #"SourceArn"#, .body, .string, min: 0, max: 10000,
            pattern:
                #"arn:(aws[a-zA-Z0-9-]*):([a-zA-Z0-9\-])+:((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1})?:(\d{12})?:(.*)"#
        ),
        InputRule(#"FunctionUrlAuthType"#, .body, .string, words: [#"NONE"#, #"AWS_IAM"#]),
        InputRule(#"InvokedViaFunctionUrl"#, .body, .flag),
        InputRule(#"SourceAccount"#, .body, .string, min: 0, max: 12, pattern: #"\d{12}"#),
        InputRule(#"EventSourceToken"#, .body, .string, min: 0, max: 256, pattern: #"[a-zA-Z0-9._\-]+"#),
        InputRule(
            #"Qualifier"#, .querystring, .string, sent: #"Qualifier"#, min: 1, max: 128,
            pattern: #"\$(LATEST(\.PUBLISHED)?)|[a-zA-Z0-9-_$]+"#),
        InputRule(#"RevisionId"#, .body, .string),
        InputRule(#"PrincipalOrgID"#, .body, .string, min: 12, max: 34, pattern: #"o-[a-z0-9]{10,32}"#),
    ],
    "CreateAlias": [
        InputRule(#"FunctionName"#, .uri, .string, sent: #"FunctionName"#, isRequired: true, min: 1, max: 140),
        InputRule(
            #"Name"#, .body, .string, isRequired: true, min: 1, max: 128, pattern: #"(?!^[0-9]+$)([a-zA-Z0-9-_]+)"#),
        InputRule(
            #"FunctionVersion"#, .body, .string, isRequired: true, min: 1, max: 1024,
            pattern: #"(\$LATEST(\.PUBLISHED)?|[0-9]+)"#),
        InputRule(#"Description"#, .body, .string, min: 0, max: 256),
        InputRule(#"RoutingConfig"#, .body, .structure),
    ],
    "CreateEventSourceMapping": [
        InputRule(
            #"EventSourceArn"#, .body, .string, min: 0, max: 10000,
            pattern:
                #"arn:(aws[a-zA-Z0-9-]*):([a-zA-Z0-9\-])+:((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1})?:(\d{12})?:(.*)"#
        ),
        InputRule(#"FunctionName"#, .body, .string, isRequired: true, min: 1, max: 256),
        InputRule(#"Enabled"#, .body, .flag),
        InputRule(#"BatchSize"#, .body, .whole, min: 1, max: 10000),
        InputRule(#"FilterCriteria"#, .body, .structure),
        InputRule(
            #"KMSKeyArn"#, .body, .string, min: 0, max: 10000, pattern: #"(arn:(aws[a-zA-Z-]*)?:[a-z0-9-.]+:.*)|()"#),
        InputRule(#"MetricsConfig"#, .body, .structure),
        InputRule(#"LoggingConfig"#, .body, .structure),
        InputRule(#"ScalingConfig"#, .body, .structure),
        InputRule(#"MaximumBatchingWindowInSeconds"#, .body, .whole, min: 0, max: 300),
        InputRule(#"ParallelizationFactor"#, .body, .whole, min: 1, max: 10),
        InputRule(#"StartingPosition"#, .body, .string, words: [#"TRIM_HORIZON"#, #"LATEST"#, #"AT_TIMESTAMP"#]),
        InputRule(#"StartingPositionTimestamp"#, .body, .other),
        InputRule(#"DestinationConfig"#, .body, .structure),
        InputRule(#"MaximumRecordAgeInSeconds"#, .body, .whole, min: -1, max: 604800),
        InputRule(#"BisectBatchOnFunctionError"#, .body, .flag),
        InputRule(#"MaximumRetryAttempts"#, .body, .whole, min: -1, max: 10000),
        InputRule(#"Tags"#, .body, .map),
        InputRule(#"TumblingWindowInSeconds"#, .body, .whole, min: 0, max: 900),
        InputRule(#"Topics"#, .body, .list, min: 1, max: 1),
        InputRule(#"Queues"#, .body, .list, min: 1, max: 1),
        InputRule(#"SourceAccessConfigurations"#, .body, .list, min: 0, max: 23),
        InputRule(#"SelfManagedEventSource"#, .body, .structure),
        InputRule(#"FunctionResponseTypes"#, .body, .list, min: 0, max: 1),
        InputRule(#"AmazonManagedKafkaEventSourceConfig"#, .body, .structure),
        InputRule(#"SelfManagedKafkaEventSourceConfig"#, .body, .structure),
        InputRule(#"DocumentDBEventSourceConfig"#, .body, .structure),
        InputRule(#"ProvisionedPollerConfig"#, .body, .structure),
    ],
    "CreateFunction": [
        InputRule(#"FunctionName"#, .body, .string, isRequired: true, min: 1, max: 140),
        InputRule(
            #"Runtime"#, .body, .string,
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
            #"Role"#, .body, .string, isRequired: true, min: 0, max: 10000,
            pattern: #"arn:(aws[a-zA-Z-]*)?:iam::\d{12}:role/?[a-zA-Z_0-9+=,.@\-_/]+"#),
        InputRule(#"Handler"#, .body, .string, min: 0, max: 128, pattern: #"[^\s]+"#),
        InputRule(#"Code"#, .body, .structure, isRequired: true),
        InputRule(#"Description"#, .body, .string, min: 0, max: 256),
        InputRule(#"Timeout"#, .body, .whole, min: 1, max: 5400),
        InputRule(#"MemorySize"#, .body, .whole, min: 128, max: 32768),
        InputRule(#"Publish"#, .body, .flag),
        InputRule(#"PublishTo"#, .body, .string, words: [#"LATEST_PUBLISHED"#]),
        InputRule(#"VpcConfig"#, .body, .structure),
        InputRule(#"PackageType"#, .body, .string, words: [#"Zip"#, #"Image"#]),
        InputRule(#"DeadLetterConfig"#, .body, .structure),
        InputRule(#"Environment"#, .body, .structure),
        InputRule(
            #"KMSKeyArn"#, .body, .string, min: 0, max: 10000, pattern: #"(arn:(aws[a-zA-Z-]*)?:[a-z0-9-.]+:.*)|()"#),
        InputRule(#"TracingConfig"#, .body, .structure),
        InputRule(#"Tags"#, .body, .map),
        InputRule(#"Layers"#, .body, .list),
        InputRule(#"FileSystemConfigs"#, .body, .list, min: 0, max: 1),
        InputRule(
            #"CodeSigningConfigArn"#, .body, .string, min: 0, max: 200,
            pattern:
                #"arn:(aws[a-zA-Z-]*)?:lambda:(eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:\d{12}:code-signing-config:csc-[a-z0-9]{17}"#
        ),
        InputRule(#"ImageConfig"#, .body, .structure),
        InputRule(#"Architectures"#, .body, .list, min: 1, max: 1),
        InputRule(#"EphemeralStorage"#, .body, .structure),
        InputRule(#"SnapStart"#, .body, .structure),
        InputRule(#"LoggingConfig"#, .body, .structure),
        InputRule(#"TenancyConfig"#, .body, .structure),
        InputRule(#"CapacityProviderConfig"#, .body, .structure),
        InputRule(#"DurableConfig"#, .body, .structure),
        InputRule(#"RuntimeConfig"#, .body, .structure),
        InputRule(#"AcceleratorConfig"#, .body, .structure),
    ],
    "CreateFunctionUrlConfig": [
        InputRule(#"FunctionName"#, .uri, .string, sent: #"FunctionName"#, isRequired: true, min: 1, max: 140),
        InputRule(
            #"Qualifier"#, .querystring, .string, sent: #"Qualifier"#, min: 1, max: 128,
            pattern: #"((?!^\d+$)^[0-9a-zA-Z-_]+$)"#),
        InputRule(#"AuthType"#, .body, .string, isRequired: true, words: [#"NONE"#, #"AWS_IAM"#]),
        InputRule(#"Cors"#, .body, .structure),
        InputRule(#"InvokeMode"#, .body, .string, words: [#"BUFFERED"#, #"RESPONSE_STREAM"#]),
    ],
    "DeleteAlias": [
        InputRule(#"FunctionName"#, .uri, .string, sent: #"FunctionName"#, isRequired: true, min: 1, max: 140),
        InputRule(
            #"Name"#, .uri, .string, sent: #"Name"#, isRequired: true, min: 1, max: 128,
            pattern: #"(?!^[0-9]+$)([a-zA-Z0-9-_]+)"#),
    ],
    "DeleteEventSourceMapping": [
        InputRule(#"UUID"#, .uri, .string, sent: #"UUID"#, isRequired: true, min: 36, max: 36)
    ],
    "DeleteFunction": [
        InputRule(#"FunctionName"#, .uri, .string, sent: #"FunctionName"#, isRequired: true, min: 1, max: 256),
        InputRule(
            #"Qualifier"#, .querystring, .string, sent: #"Qualifier"#, min: 1, max: 128,
            pattern: #"\$(LATEST(\.PUBLISHED)?)|[a-zA-Z0-9-_$]+"#),
    ],
    "DeleteFunctionConcurrency": [
        InputRule(#"FunctionName"#, .uri, .string, sent: #"FunctionName"#, isRequired: true, min: 1, max: 140)
    ],
    "DeleteFunctionEventInvokeConfig": [
        InputRule(#"FunctionName"#, .uri, .string, sent: #"FunctionName"#, isRequired: true, min: 1, max: 256),
        InputRule(
            #"Qualifier"#, .querystring, .string, sent: #"Qualifier"#, min: 1, max: 128,
            pattern: #"\$(LATEST(\.PUBLISHED)?)|[a-zA-Z0-9-_$]+"#),
    ],
    "DeleteFunctionUrlConfig": [
        InputRule(#"FunctionName"#, .uri, .string, sent: #"FunctionName"#, isRequired: true, min: 1, max: 140),
        InputRule(
            #"Qualifier"#, .querystring, .string, sent: #"Qualifier"#, min: 1, max: 128,
            pattern: #"((?!^\d+$)^[0-9a-zA-Z-_]+$)"#),
    ],
    "DeleteProvisionedConcurrencyConfig": [
        InputRule(#"FunctionName"#, .uri, .string, sent: #"FunctionName"#, isRequired: true, min: 1, max: 140),
        InputRule(
            #"Qualifier"#, .querystring, .string, sent: #"Qualifier"#, isRequired: true, min: 1, max: 128,
            pattern: #"(|[a-zA-Z0-9$_-]+)"#),
    ],
    "Invoke": [
        InputRule(#"FunctionName"#, .uri, .string, sent: #"FunctionName"#, isRequired: true, min: 1, max: 256),
        InputRule(
            #"InvocationType"#, .header, .string, sent: #"X-Amz-Invocation-Type"#,
            words: [#"Event"#, #"RequestResponse"#, #"DryRun"#]),
        InputRule(#"LogType"#, .header, .string, sent: #"X-Amz-Log-Type"#, words: [#"None"#, #"Tail"#]),
        InputRule(#"ClientContext"#, .header, .string, sent: #"X-Amz-Client-Context"#),
        InputRule(
            #"DurableExecutionName"#, .header, .string, sent: #"X-Amz-Durable-Execution-Name"#, min: 1, max: 64,
            pattern: #"[a-zA-Z0-9-_]+"#),
        InputRule(#"Payload"#, .body, .other),
        InputRule(
            #"Qualifier"#, .querystring, .string, sent: #"Qualifier"#, min: 1, max: 128,
            pattern: #"\$(LATEST(\.PUBLISHED)?)|[a-zA-Z0-9-_$]+"#),
        InputRule(
            #"TenantId"#, .header, .string, sent: #"X-Amz-Tenant-Id"#, min: 1, max: 256,
            pattern: #"[a-zA-Z0-9\._:\/=+\-@ ]+"#),
    ],
    "InvokeAsync": [
        InputRule(#"FunctionName"#, .uri, .string, sent: #"FunctionName"#, isRequired: true, min: 1, max: 256),
        InputRule(#"InvokeArgs"#, .body, .other, isRequired: true),
    ],
    "InvokeWithResponseStream": [
        InputRule(#"FunctionName"#, .uri, .string, sent: #"FunctionName"#, isRequired: true, min: 1, max: 256),
        InputRule(#"LogType"#, .header, .string, sent: #"X-Amz-Log-Type"#, words: [#"None"#, #"Tail"#]),
        InputRule(#"ClientContext"#, .header, .string, sent: #"X-Amz-Client-Context"#),
        InputRule(
            #"Qualifier"#, .querystring, .string, sent: #"Qualifier"#, min: 1, max: 128,
            pattern: #"\$(LATEST(\.PUBLISHED)?)|[a-zA-Z0-9-_$]+"#),
        InputRule(#"Payload"#, .body, .other),
        InputRule(
            #"TenantId"#, .header, .string, sent: #"X-Amz-Tenant-Id"#, min: 1, max: 256,
            pattern: #"[a-zA-Z0-9\._:\/=+\-@ ]+"#),
        InputRule(
            #"InvocationType"#, .header, .string, sent: #"X-Amz-Invocation-Type"#,
            words: [#"RequestResponse"#, #"DryRun"#]),
    ],
    "PublishVersion": [
        InputRule(#"FunctionName"#, .uri, .string, sent: #"FunctionName"#, isRequired: true, min: 1, max: 140),
        InputRule(#"CodeSha256"#, .body, .string),
        InputRule(#"Description"#, .body, .string, min: 0, max: 256),
        InputRule(#"RevisionId"#, .body, .string),
        InputRule(#"PublishTo"#, .body, .string, words: [#"LATEST_PUBLISHED"#]),
    ],
    "PutFunctionConcurrency": [
        InputRule(#"FunctionName"#, .uri, .string, sent: #"FunctionName"#, isRequired: true, min: 1, max: 140),
        InputRule(#"ReservedConcurrentExecutions"#, .body, .whole, isRequired: true, min: 0),
    ],
    "PutFunctionEventInvokeConfig": [
        InputRule(#"FunctionName"#, .uri, .string, sent: #"FunctionName"#, isRequired: true, min: 1, max: 256),
        InputRule(
            #"Qualifier"#, .querystring, .string, sent: #"Qualifier"#, min: 1, max: 128,
            pattern: #"\$(LATEST(\.PUBLISHED)?)|[a-zA-Z0-9-_$]+"#),
        InputRule(#"MaximumRetryAttempts"#, .body, .whole, min: 0, max: 2),
        InputRule(#"MaximumEventAgeInSeconds"#, .body, .whole, min: 60, max: 21600),
        InputRule(#"DestinationConfig"#, .body, .structure),
    ],
    "PutProvisionedConcurrencyConfig": [
        InputRule(#"FunctionName"#, .uri, .string, sent: #"FunctionName"#, isRequired: true, min: 1, max: 140),
        InputRule(
            #"Qualifier"#, .querystring, .string, sent: #"Qualifier"#, isRequired: true, min: 1, max: 128,
            pattern: #"(|[a-zA-Z0-9$_-]+)"#),
        InputRule(#"ProvisionedConcurrentExecutions"#, .body, .whole, isRequired: true, min: 1),
    ],
    "RemovePermission": [
        InputRule(#"FunctionName"#, .uri, .string, sent: #"FunctionName"#, isRequired: true, min: 1, max: 256),
        InputRule(
            #"StatementId"#, .uri, .string, sent: #"StatementId"#, isRequired: true, min: 1, max: 100,
            pattern: #"([a-zA-Z0-9-_.]+)"#),
        InputRule(
            #"Qualifier"#, .querystring, .string, sent: #"Qualifier"#, min: 1, max: 128,
            pattern: #"\$(LATEST(\.PUBLISHED)?)|[a-zA-Z0-9-_$]+"#),
        InputRule(#"RevisionId"#, .querystring, .string, sent: #"RevisionId"#),
    ],
    "TagResource": [
        InputRule(#"Resource"#, .uri, .string, sent: #"Resource"#, isRequired: true, min: 1, max: 10000),
        InputRule(#"Tags"#, .body, .map, isRequired: true),
    ],
    "UntagResource": [
        InputRule(#"Resource"#, .uri, .string, sent: #"Resource"#, isRequired: true, min: 1, max: 10000),
        InputRule(#"TagKeys"#, .querystring, .list, sent: #"tagKeys"#, isRequired: true),
    ],
    "UpdateAlias": [
        InputRule(#"FunctionName"#, .uri, .string, sent: #"FunctionName"#, isRequired: true, min: 1, max: 140),
        InputRule(
            #"Name"#, .uri, .string, sent: #"Name"#, isRequired: true, min: 1, max: 128,
            pattern: #"(?!^[0-9]+$)([a-zA-Z0-9-_]+)"#),
        InputRule(#"FunctionVersion"#, .body, .string, min: 1, max: 1024, pattern: #"(\$LATEST(\.PUBLISHED)?|[0-9]+)"#),
        InputRule(#"Description"#, .body, .string, min: 0, max: 256),
        InputRule(#"RoutingConfig"#, .body, .structure),
        InputRule(#"RevisionId"#, .body, .string),
    ],
    "UpdateEventSourceMapping": [
        InputRule(#"UUID"#, .uri, .string, sent: #"UUID"#, isRequired: true, min: 36, max: 36),
        InputRule(#"FunctionName"#, .body, .string, min: 1, max: 256),
        InputRule(#"Enabled"#, .body, .flag),
        InputRule(#"BatchSize"#, .body, .whole, min: 1, max: 10000),
        InputRule(#"FilterCriteria"#, .body, .structure),
        InputRule(
            #"KMSKeyArn"#, .body, .string, min: 0, max: 10000, pattern: #"(arn:(aws[a-zA-Z-]*)?:[a-z0-9-.]+:.*)|()"#),
        InputRule(#"MetricsConfig"#, .body, .structure),
        InputRule(#"LoggingConfig"#, .body, .structure),
        InputRule(#"ScalingConfig"#, .body, .structure),
        InputRule(#"MaximumBatchingWindowInSeconds"#, .body, .whole, min: 0, max: 300),
        InputRule(#"ParallelizationFactor"#, .body, .whole, min: 1, max: 10),
        InputRule(#"DestinationConfig"#, .body, .structure),
        InputRule(#"MaximumRecordAgeInSeconds"#, .body, .whole, min: -1, max: 604800),
        InputRule(#"BisectBatchOnFunctionError"#, .body, .flag),
        InputRule(#"MaximumRetryAttempts"#, .body, .whole, min: -1, max: 10000),
        InputRule(#"TumblingWindowInSeconds"#, .body, .whole, min: 0, max: 900),
        InputRule(#"SourceAccessConfigurations"#, .body, .list, min: 0, max: 23),
        InputRule(#"FunctionResponseTypes"#, .body, .list, min: 0, max: 1),
        InputRule(#"AmazonManagedKafkaEventSourceConfig"#, .body, .structure),
        InputRule(#"SelfManagedKafkaEventSourceConfig"#, .body, .structure),
        InputRule(#"DocumentDBEventSourceConfig"#, .body, .structure),
        InputRule(#"ProvisionedPollerConfig"#, .body, .structure),
    ],
    "UpdateFunctionCode": [
        InputRule(#"FunctionName"#, .uri, .string, sent: #"FunctionName"#, isRequired: true, min: 1, max: 140),
        InputRule(#"ZipFile"#, .body, .other),
        InputRule(#"S3Bucket"#, .body, .string, min: 3, max: 63, pattern: #"[0-9A-Za-z\.\-_]*(?<!\.)"#),
        InputRule(#"S3Key"#, .body, .string, min: 1, max: 1024, pattern: #".*"#),
        InputRule(#"S3ObjectVersion"#, .body, .string, min: 1, max: 1024, pattern: #".*"#),
        InputRule(#"S3ObjectStorageMode"#, .body, .string, words: [#"COPY"#, #"REFERENCE"#]),
        InputRule(#"ImageUri"#, .body, .string),
        InputRule(#"Architectures"#, .body, .list, min: 1, max: 1),
        InputRule(#"Publish"#, .body, .flag),
        InputRule(#"PublishTo"#, .body, .string, words: [#"LATEST_PUBLISHED"#]),
        InputRule(#"DryRun"#, .body, .flag),
        InputRule(#"RevisionId"#, .body, .string),
        InputRule(
            #"SourceKMSKeyArn"#, .body, .string, min: 0, max: 10000,
            pattern: #"(arn:(aws[a-zA-Z-]*)?:[a-z0-9-.]+:.*)|()"#),
    ],
    "UpdateFunctionConfiguration": [
        InputRule(#"FunctionName"#, .uri, .string, sent: #"FunctionName"#, isRequired: true, min: 1, max: 140),
        InputRule(
            #"Role"#, .body, .string, min: 0, max: 10000,
            pattern: #"arn:(aws[a-zA-Z-]*)?:iam::\d{12}:role/?[a-zA-Z_0-9+=,.@\-_/]+"#),
        InputRule(#"Handler"#, .body, .string, min: 0, max: 128, pattern: #"[^\s]+"#),
        InputRule(#"Description"#, .body, .string, min: 0, max: 256),
        InputRule(#"Timeout"#, .body, .whole, min: 1, max: 5400),
        InputRule(#"MemorySize"#, .body, .whole, min: 128, max: 32768),
        InputRule(#"VpcConfig"#, .body, .structure),
        InputRule(#"Environment"#, .body, .structure),
        InputRule(
            #"Runtime"#, .body, .string,
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
        InputRule(#"DeadLetterConfig"#, .body, .structure),
        InputRule(
            #"KMSKeyArn"#, .body, .string, min: 0, max: 10000, pattern: #"(arn:(aws[a-zA-Z-]*)?:[a-z0-9-.]+:.*)|()"#),
        InputRule(#"TracingConfig"#, .body, .structure),
        InputRule(#"RevisionId"#, .body, .string),
        InputRule(#"Layers"#, .body, .list),
        InputRule(#"FileSystemConfigs"#, .body, .list, min: 0, max: 1),
        InputRule(#"ImageConfig"#, .body, .structure),
        InputRule(#"EphemeralStorage"#, .body, .structure),
        InputRule(#"SnapStart"#, .body, .structure),
        InputRule(#"LoggingConfig"#, .body, .structure),
        InputRule(#"CapacityProviderConfig"#, .body, .structure),
        InputRule(#"DurableConfig"#, .body, .structure),
        InputRule(#"RuntimeConfig"#, .body, .structure),
        InputRule(#"AcceleratorConfig"#, .body, .structure),
    ],
    "UpdateFunctionEventInvokeConfig": [
        InputRule(#"FunctionName"#, .uri, .string, sent: #"FunctionName"#, isRequired: true, min: 1, max: 256),
        InputRule(
            #"Qualifier"#, .querystring, .string, sent: #"Qualifier"#, min: 1, max: 128,
            pattern: #"\$(LATEST(\.PUBLISHED)?)|[a-zA-Z0-9-_$]+"#),
        InputRule(#"MaximumRetryAttempts"#, .body, .whole, min: 0, max: 2),
        InputRule(#"MaximumEventAgeInSeconds"#, .body, .whole, min: 60, max: 21600),
        InputRule(#"DestinationConfig"#, .body, .structure),
    ],
    "UpdateFunctionUrlConfig": [
        InputRule(#"FunctionName"#, .uri, .string, sent: #"FunctionName"#, isRequired: true, min: 1, max: 140),
        InputRule(
            #"Qualifier"#, .querystring, .string, sent: #"Qualifier"#, min: 1, max: 128,
            pattern: #"((?!^\d+$)^[0-9a-zA-Z-_]+$)"#),
        InputRule(#"AuthType"#, .body, .string, words: [#"NONE"#, #"AWS_IAM"#]),
        InputRule(#"Cors"#, .body, .structure),
        InputRule(#"InvokeMode"#, .body, .string, words: [#"BUFFERED"#, #"RESPONSE_STREAM"#]),
    ],
]

/// The Python runtime, compiled into the program: what loads a handler inside a cell and speaks the worker protocol.
package enum PythonRuntime {
    package static let fileName = "bulkhead_runtime.py"
    package static var source: [UInt8] { PackageResources.bulkhead_runtime_py }
}

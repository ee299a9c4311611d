import ArgumentParser
import Foundation
import FunctionModel
import Host

/// A function to begin with, in one language: what is in its folder.
struct Template {
    let language: String
    let files: [(name: String, text: String, isProgram: Bool)]
    /// Of the manifest, beside its name.
    let manifest: String

    private static func compiled(
        _ language: String, _ file: String, _ build: String, _ source: String, more: String = ""
    )
        -> Template
    {
        Template(
            language: language,
            files: [
                (file, source, false),
                (
                    "build",
                    "#!/bin/sh\n# Run by `bulkhead dev` before each deployment.\nset -e\ncd \"$(dirname \"$0\")\"\n\(build)\n",
                    true
                ),
            ], manifest: "run: ./app\n\(more)")
    }

    static let all: [Template] = [
        Template(
            language: "python",
            files: [
                (
                    "app.py",
                    """
                    import logging


                    def handler(event, context):
                        name = event.get("name", "world") if isinstance(event, dict) else "world"
                        logging.getLogger().warning("greeting %s", name)
                        return {"greeting": f"Hello, {name}!"}

                    """, false
                )
            ], manifest: "runtime: python\nhandler: app.handler\nmode: reactor\n"),
        Template(
            language: "shell",
            files: [
                (
                    "app",
                    "#!/bin/sh\n# The event comes on stdin, what is written to stdout is the result, stderr is the log.\nread -r event\necho \"got $event\" >&2\nprintf '{\"greeting\":\"Hello!\",\"event\":%s}\\n' \"$event\"\n",
                    true
                )
            ], manifest: "run: ./app\n"),
        Template(
            language: "node",
            files: [
                (
                    "app",
                    "#!/usr/bin/env node\nconst event = JSON.parse(require('fs').readFileSync(0, 'utf8'));\nconst name = (event && event.name) || 'world';\nconsole.error(`greeting ${name}`);\nconsole.log(JSON.stringify({ greeting: `Hello, ${name}!` }));\n",
                    true
                )
            ], manifest: "run: ./app\nlimits: { memory: 256MiB }\n"),
        compiled(
            "c", "app.c", "cc -O2 -static -o app app.c",
            """
            #include <stdio.h>

            int main(void) {
                char event[65536];
                size_t size = fread(event, 1, sizeof event - 1, stdin);
                event[size] = 0;
                fprintf(stderr, "got %zu bytes\\n", size);
                printf("{\\"greeting\\":\\"Hello!\\",\\"event\\":%s}\\n", event);
            }

            """),
        compiled(
            "go", "app.go", "CGO_ENABLED=0 go build -o app app.go",
            """
            package main

            import (
            \t"encoding/json"
            \t"fmt"
            \t"os"
            )

            func main() {
            \tvar event struct{ Name string }
            \t_ = json.NewDecoder(os.Stdin).Decode(&event)
            \tif event.Name == "" {
            \t\tevent.Name = "world"
            \t}
            \tfmt.Fprintln(os.Stderr, "greeting", event.Name)
            \t_ = json.NewEncoder(os.Stdout).Encode(map[string]string{"greeting": "Hello, " + event.Name + "!"})
            }

            """),
        compiled(
            "rust", "app.rs", "rustc -O -o app app.rs",
            """
            use std::io::Read;

            fn main() {
                let mut event = String::new();
                std::io::stdin().read_to_string(&mut event).expect("the event");
                eprintln!("got {} bytes", event.len());
                println!("{{\\"greeting\\":\\"Hello!\\",\\"event\\":{}}}", event.trim());
            }

            """),
        compiled(
            "swift", "app.swift", "swiftc -O -static-stdlib -o app app.swift",
            """
            import Foundation

            struct Event: Decodable { var name: String? }

            let bytes = FileHandle.standardInput.readDataToEndOfFile()
            let name = (try? JSONDecoder().decode(Event.self, from: bytes))?.name ?? "world"
            FileHandle.standardError.write(Data("greeting \\(name)\\n".utf8))
            print("{\\"greeting\\":\\"Hello, \\(name)!\\"}")

            """, more: "limits: { memory: 256MiB }\n"),
    ]
}

struct InitCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "init", abstract: "Makes a folder with a function to begin with.",
        discussion: "Then: `bulkhead run FOLDER --data '{\"name\":\"Ada\"}'`, or `bulkhead dev FOLDER`.")

    @Argument(help: "The folder; its name is the function's.")
    var folder: String
    @Option(help: "\(Template.all.map(\.language).joined(separator: ", ")).")
    var language = "python"

    func run() throws {
        guard let template = Template.all.first(where: { $0.language == language }) else {
            throw CommandFailure(
                "there is no template for \"\(language)\"; there are \(Template.all.map(\.language).joined(separator: ", "))",
                .usage)
        }
        let name = URL(fileURLWithPath: folder).lastPathComponent
        guard FunctionName(name) != nil else {
            throw CommandFailure("\"\(name)\" is no function name; it must be \(FunctionName.rule)", .usage)
        }
        guard !FileManager.default.fileExists(atPath: folder) else {
            throw CommandFailure("\(folder) is there already", .usage)
        }
        do {
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            let manifest = "name: \(name)\n\(template.manifest)"
            for (file, text, isProgram) in template.files + [("function.yaml", manifest, false)] {
                let made = FileManager.default.createFile(
                    atPath: "\(folder)/\(file)", contents: Data(text.utf8),
                    attributes: [.posixPermissions: isProgram ? 0o755 : 0o644])
                guard made else { throw CommandFailure("\(folder)/\(file) cannot be written") }
            }
        } catch let failure as CommandFailure {
            throw failure
        } catch {
            throw CommandFailure("\(folder) cannot be made: \(error.localizedDescription)")
        }
        let isBuilt = template.files.contains { $0.name == "build" }
        print("\(folder): \(template.files.map(\.name).joined(separator: ", ")), function.yaml")
        print(
            "next: " + (isBuilt ? "\(folder)/build && " : "")
                + "bulkhead run \(folder) --data '{\"name\":\"Ada\"}', or bulkhead dev \(folder)")
    }
}

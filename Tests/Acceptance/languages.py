"""Small programs in many languages: what people do in each. Data for test_languages.py and Tests/Languages/table."""

import shutil
from dataclasses import dataclass, field

COLUMNS = ("hello", "json", "zone", "temp", "lock", "threads", "subprocess", "memory", "crash")
ANSWERS = {"hello": "hello", "zone": "JST", "temp": "kept", "lock": "locked", "threads": "4", "subprocess": "child"}
MEMORY_MIB = 512


@dataclass(frozen=True)
class Language:
    """`programs`: for each column a program's text. `explains`: what a failure must say in log, stdout or detail."""
    interpreter: str
    programs: dict
    explains: str
    suffix: str = ""
    build: list = field(default_factory=list)  # of one that is compiled: a command, with SOURCE and OUT

    def is_here(self):
        if not self.build and not self.interpreter:
            return True
        first = self.build[0] if self.build else self.interpreter.split()[0]
        return bool(shutil.which(first))


SH = {
    "hello": "echo hello", "json": "cat", "zone": "TZ=Asia/Tokyo date +%Z", "temp": "echo kept > /tmp/f; cat /tmp/f",
    "lock": "exec 9>/tmp/l; flock 9 && echo locked", "threads": "for i in 1 2 3 4; do echo $i & done | wc -l",
    "subprocess": "echo $(echo child)", "memory": "awk '/MemTotal/ { print int($2 / 1024) }' /proc/meminfo",
    "crash": "nosuchcommand; exit 3"}

LANGUAGES = {
    "sh": Language("/bin/sh", SH, "nosuchcommand"),
    "bash": Language("/bin/bash", {**SH, "hello": "printf '%s\\n' hello", "threads": "wc -l < <(for i in 1 2 3 4; do echo $i & done; wait)",
                                   "temp": "mapfile -t a < <(echo kept | tee /tmp/f); echo ${a[0]}"}, "nosuchcommand"),
    "awk": Language("/usr/bin/awk -f", {
        "hello": 'BEGIN { print "hello" }', "json": "{ print }",
        "zone": 'BEGIN { "TZ=Asia/Tokyo date +%Z" | getline zone; print zone }',
        "temp": 'BEGIN { print "kept" > "/tmp/f"; close("/tmp/f"); getline line < "/tmp/f"; print line }',
        "lock": 'BEGIN { system("flock /tmp/l echo locked") }', "threads": 'BEGIN { print 4 }',
        "subprocess": 'BEGIN { "echo child" | getline line; print line }',
        "memory": 'BEGIN { while ((getline line < "/proc/meminfo") > 0) if (split(line, part) && part[1] == "MemTotal:") print int(part[2] / 1024) }',
        "crash": 'BEGIN { nosuchfunction() }'}, "nosuchfunction"),
    "perl": Language("/usr/bin/perl", {
        "hello": 'print "hello\\n"', "json": "use JSON::PP; print JSON::PP->new->canonical->encode(decode_json(join '', <STDIN>))",
        "zone": "use POSIX; $ENV{TZ} = 'Asia/Tokyo'; print strftime('%Z', localtime), qq(\\n)",
        "temp": "use File::Temp 'tempfile'; my ($f, $n) = tempfile(); print $f 'kept'; close $f; open my $g, '<', $n; print <$g>",
        "lock": "use Fcntl ':flock'; open my $f, '>', '/tmp/l'; flock($f, LOCK_EX) and print 'locked'",
        "threads": "use threads; my @t = map { threads->create(sub { 1 }) } 1..4; my $n = 0; $n += $_->join for @t; print $n",
        "subprocess": "print `echo child`", "memory": "open my $f, '/proc/meminfo'; print int($1 / 1024) if <$f> =~ /(\\d+)/",
        "crash": "use strict; nosuchfunction();"}, "nosuchfunction"),
    "python3": Language("/usr/bin/python3", {
        "hello": "print('hello')", "json": "import json, sys; json.dump(json.load(sys.stdin), sys.stdout)",
        "zone": "import datetime as d, zoneinfo as z; print(d.datetime(2026, 1, 1, tzinfo=z.ZoneInfo('Asia/Tokyo')).tzname())",
        "temp": "import tempfile\nwith tempfile.NamedTemporaryFile('w+') as f: f.write('kept'); f.seek(0); print(f.read())",
        "lock": "import sqlite3\nc = sqlite3.connect('/tmp/d')\nwith c: c.execute('create table t (x)'); c.execute(\"insert into t values ('locked')\")\n"
                "print(c.execute('select x from t').fetchone()[0])",
        "threads": "from concurrent.futures import ThreadPoolExecutor as E; print(sum(E(4).map(lambda x: 1, range(4))))",
        "subprocess": "import subprocess as s; print(s.run(['echo', 'child'], capture_output=True, text=True).stdout)",
        "memory": "print(int(open('/proc/meminfo').readline().split()[1]) // 1024)", "crash": "nosuchfunction()"}, "NameError"),
    "tcl": Language("/usr/bin/tclsh", {
        "hello": "puts hello", "json": "puts -nonewline [read stdin]", "zone": "puts [clock format 0 -timezone :Asia/Tokyo -format %Z]",
        "temp": "set f [file tempfile n]; puts $f kept; close $f; puts -nonewline [read [open $n]]",
        "lock": "puts [exec flock /tmp/l echo locked]", "threads": "puts 4", "subprocess": "puts [exec echo child]",
        "memory": "puts [expr {[lindex [gets [open /proc/meminfo]] 1] / 1024}]", "crash": "nosuchfunction"}, "nosuchfunction"),
    "php": Language("/usr/bin/php", {
        "hello": "<?php echo 'hello';", "json": "<?php echo json_encode(json_decode(file_get_contents('php://stdin')));",
        "zone": "<?php echo (new DateTime('now', new DateTimeZone('Asia/Tokyo')))->format('T');",
        "temp": "<?php $f = tempnam(sys_get_temp_dir(), 'x'); file_put_contents($f, 'kept', LOCK_EX); echo file_get_contents($f);",
        "lock": "<?php $f = fopen('/tmp/l', 'w'); if (flock($f, LOCK_EX)) echo 'locked';", "threads": "<?php echo mb_strlen('vier');",
        "subprocess": "<?php echo shell_exec('echo child');", "memory": "<?php echo intdiv((int) filter_var(file('/proc/meminfo')[0], FILTER_SANITIZE_NUMBER_INT), 1024);",
        "crash": "<?php nosuchfunction();"}, "nosuchfunction"),
    "ruby": Language("/usr/bin/ruby", {
        "hello": "puts 'hello'", "json": "require 'json'; print JSON.generate(JSON.parse(STDIN.read))",
        "zone": "ENV['TZ'] = 'Asia/Tokyo'; puts Time.now.zone",
        "temp": "require 'tempfile'; Tempfile.create { |f| f.write 'kept'; f.rewind; puts f.read }",
        "lock": "File.open('/tmp/l', 'w') { |f| puts 'locked' if f.flock(File::LOCK_EX) }",
        "threads": "puts 4.times.map { Thread.new { 1 } }.sum(&:value)", "subprocess": "puts `echo child`",
        "memory": "puts File.open('/proc/meminfo', &:gets).split[1].to_i / 1024", "crash": "nosuchfunction()"}, "nosuchfunction"),
    "lua": Language("/usr/bin/lua5.4", {
        "hello": "print('hello')", "json": "io.write(io.read('a'))", "zone": "print(io.popen('TZ=Asia/Tokyo date +%Z'):read())",
        "temp": "local n = os.tmpname(); local f = io.open(n, 'w'); f:write('kept'); f:close(); print(io.open(n):read())",
        "lock": "os.execute('flock /tmp/l echo locked')", "threads": "local c = coroutine.wrap(function() for i = 1, 4 do coroutine.yield(i) end end)\nlocal n\nfor i = 1, 4 do n = c() end\nprint(n)",
        "subprocess": "print(io.popen('echo child'):read())", "memory": "print(io.open('/proc/meminfo'):read():match('%d+') // 1024)",
        "crash": "nosuchfunction()"}, "nosuchfunction"),
}

NODE = {
    "hello": "console.log('hello')",
    "json": "const t = require('fs').readFileSync('/dev/stdin', 'utf8'); console.log(JSON.stringify(JSON.parse(t)))",
    "zone": "console.log(new Date(0).toLocaleString('en', {timeZone: 'Asia/Tokyo', hour: 'numeric'}).startsWith('9') ? 'JST' : 'no')",
    "temp": "const f = require('fs'), p = require('os').tmpdir() + '/f'; f.writeFileSync(p, 'kept'); f.promises.readFile(p, 'utf8').then(console.log)",
    "lock": "require('child_process').execFile('flock', ['/tmp/l', 'echo', 'locked'], (e, out) => process.stdout.write(out))",
    "threads": "const { Worker } = require('worker_threads'); let n = 0; for (let i = 0; i < 4; i++) new Worker('', {eval: true}).on('exit', () => { if (++n == 4) console.log(n) })",
    "subprocess": "console.log(require('child_process').execSync('echo child').toString())",
    "memory": "console.log(require('os').totalmem() >> 20)", "crash": "nosuchfunction()"}
LANGUAGES["node"] = Language("/usr/bin/node", NODE, "ReferenceError")

C = {
    "hello": 'puts("hello");', "json": 'char b[4096]; size_t n = fread(b, 1, sizeof b, stdin); fwrite(b, 1, n, stdout);',
    "zone": 'setenv("TZ", "Asia/Tokyo", 1); time_t t = 0; char z[9]; strftime(z, 9, "%Z", localtime(&t)); puts(z);',
    "temp": 'char b[9] = ""; FILE *f = tmpfile(); fputs("kept", f); rewind(f); fgets(b, 9, f); puts(b);',
    "lock": 'int f = open("/tmp/l", O_CREAT | O_RDWR, 0600); puts(flock(f, LOCK_EX) == 0 && lockf(f, F_LOCK, 0) == 0 ? "locked" : "no");',
    "threads": "pthread_t t[4]; void *r; long n = 0; for (int i = 0; i < 4; i++) pthread_create(&t[i], 0, one, 0);"
               ' for (int i = 0; i < 4; i++) pthread_join(t[i], &r), n += (long)r; printf("%ld\\n", n);',
    "subprocess": 'char b[9] = ""; FILE *f = popen("echo child", "r"); if (f) fgets(b, 9, f); puts(b);',
    "memory": 'long n = 0; FILE *f = fopen("/proc/meminfo", "r"); if (f) fscanf(f, "MemTotal: %ld", &n); printf("%ld\\n", n / 1024);',
    "crash": "fflush(0); *(volatile int *)8 = 1;"}
HEAD = ("#include <fcntl.h>\n#include <pthread.h>\n#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n#include <sys/file.h>\n"
        "#include <time.h>\n#include <unistd.h>\nstatic void *one(void *x) { return (void *)1; }\nint main() { (void)one; %s return 0; }\n")
LANGUAGES["c"] = Language("", {column: HEAD % text for column, text in C.items()}, "SIGSEGV", ".c", ["gcc", "-w", "SOURCE", "-o", "OUT"])
LANGUAGES["c (static)"] = Language("", {column: HEAD % text for column, text in C.items()}, "SIGSEGV", ".c",
                                   ["gcc", "-w", "-static", "SOURCE", "-o", "OUT"])
LANGUAGES["c++"] = Language("", {**{column: HEAD % text for column, text in C.items()},
                                 "hello": '#include <iostream>\nint main() { std::cout << "hello\\n"; }',
                                 "threads": "#include <future>\n#include <iostream>\nint main() { int n = 0; std::future<int> f[4]; for (auto &x : f) x = std::async(std::launch::async, [] { return 1; }); for (auto &x : f) n += x.get(); std::cout << n << '\\n'; }"},
                            "SIGSEGV", ".cc", ["g++", "-w", "-fpermissive", "SOURCE", "-o", "OUT"])
GO_HEAD = 'package main\nimport (%s)\nfunc main() { %s }\n'
LANGUAGES["go"] = Language("", {
    "hello": GO_HEAD % ('"fmt"', 'fmt.Println("hello")'),
    "json": GO_HEAD % ('"encoding/json"; "os"', "var v any; json.NewDecoder(os.Stdin).Decode(&v); json.NewEncoder(os.Stdout).Encode(v)"),
    "zone": GO_HEAD % ('"fmt"; "time"', 'l, e := time.LoadLocation("Asia/Tokyo"); if e != nil { panic(e) }; fmt.Println(time.Unix(0, 0).In(l).Format("MST"))'),
    "temp": GO_HEAD % ('"fmt"; "os"', 'f, e := os.CreateTemp("", "x"); if e != nil { panic(e) }; f.WriteString("kept"); b, _ := os.ReadFile(f.Name()); fmt.Println(string(b))'),
    "lock": GO_HEAD % ('"fmt"; "os"; "syscall"', 'f, _ := os.Create("/tmp/l"); if e := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); e != nil { panic(e) }; fmt.Println("locked")'),
    "threads": GO_HEAD % ('"fmt"', "c := make(chan int); for i := 0; i < 4; i++ { go func() { c <- 1 }() }; n := 0; for i := 0; i < 4; i++ { n += <-c }; fmt.Println(n)"),
    "subprocess": GO_HEAD % ('"fmt"; "os/exec"', 'b, e := exec.Command("echo", "child").Output(); if e != nil { panic(e) }; fmt.Print(string(b))'),
    "memory": GO_HEAD % ('"fmt"; "os"', 'f, _ := os.Open("/proc/meminfo"); var n int; fmt.Fscanf(f, "MemTotal: %d", &n); fmt.Println(n / 1024)'),
    "crash": GO_HEAD % ("", 'panic("nosuchfunction")')}, "nosuchfunction", ".go", ["go", "build", "-o", "OUT", "SOURCE"])
RUST = 'use std::io::{Read, Write}; use std::process::Command; fn main() { let _ = (std::io::stdout().flush(), 0); %s }\n'
LANGUAGES["rust"] = Language("", {
    "hello": RUST % 'println!("hello");', "json": RUST % "let mut t = String::new(); std::io::stdin().read_to_string(&mut t).unwrap(); print!(\"{t}\");",
    "zone": RUST % 'let o = Command::new("date").arg("+%Z").env("TZ", "Asia/Tokyo").output().unwrap(); print!("{}", String::from_utf8_lossy(&o.stdout));',
    "temp": RUST % 'let p = std::env::temp_dir().join("f"); std::fs::write(&p, "kept").unwrap(); println!("{}", std::fs::read_to_string(&p).unwrap());',
    "lock": RUST % 'let o = Command::new("flock").args(["/tmp/l", "echo", "locked"]).output().unwrap(); print!("{}", String::from_utf8_lossy(&o.stdout));',
    "threads": RUST % 'let n: i32 = (0..4).map(|_| std::thread::spawn(|| 1)).collect::<Vec<_>>().into_iter().map(|t| t.join().unwrap()).sum(); println!("{n}");',
    "subprocess": RUST % 'let o = Command::new("echo").arg("child").output().unwrap(); print!("{}", String::from_utf8_lossy(&o.stdout));',
    "memory": RUST % 'let t = std::fs::read_to_string("/proc/meminfo").unwrap(); let k: u64 = t.split_whitespace().nth(1).unwrap().parse().unwrap(); println!("{}", k / 1024);',
    "crash": RUST % 'panic!("nosuchfunction");'}, "nosuchfunction", ".rs", ["rustc", "-O", "SOURCE", "-o", "OUT"])
JAVA = "import java.util.*; import java.util.stream.*; import java.nio.file.*; public class Main { public static void main(String[] a) throws Exception { %s } }\n"
LANGUAGES["java"] = Language("", {
    "hello": JAVA % 'System.out.println("hello");', "json": JAVA % "System.in.transferTo(System.out);",
    "zone": JAVA % 'System.out.println(java.time.ZoneId.of("Asia/Tokyo").getRules() == null ? "" : java.time.ZonedDateTime.now(java.time.ZoneId.of("Asia/Tokyo")).format(java.time.format.DateTimeFormatter.ofPattern("z", Locale.US)));',
    "temp": JAVA % 'Path p = Files.createTempFile("x", null); Files.writeString(p, "kept"); System.out.println(Files.readString(p));',
    "lock": JAVA % 'var c = java.nio.channels.FileChannel.open(Path.of("/tmp/l"), StandardOpenOption.CREATE, StandardOpenOption.WRITE); System.out.println(c.lock().isValid() ? "locked" : "no");',
    "threads": JAVA % "System.out.println(IntStream.range(0, 4).parallel().map(x -> 1).sum());",
    "subprocess": JAVA % 'System.out.print(new String(new ProcessBuilder("echo", "child").start().getInputStream().readAllBytes()));',
    "memory": JAVA % "System.out.println(Runtime.getRuntime().maxMemory() >> 20);",
    "crash": JAVA % 'throw new IllegalStateException("nosuchfunction");'}, "nosuchfunction", ".java", ["javac", "-d", "OUT", "SOURCE"])


SWIFT = 'import Glibc\n%s\n'
LANGUAGES["swift"] = Language("", {
    "hello": SWIFT % 'print("hello")', "json": SWIFT % "while let line = readLine(strippingNewline: false) { print(line, terminator: \"\") }",
    "zone": SWIFT % 'setenv("TZ", "Asia/Tokyo", 1); tzset(); var t = time(nil); print(String(cString: localtime(&t).pointee.tm_zone))',
    "temp": SWIFT % 'var b = [CChar](repeating: 0, count: 9); let f = tmpfile()!; fputs("kept", f); rewind(f); fgets(&b, 9, f); print(String(cString: b))',
    "lock": SWIFT % 'let f = open("/tmp/l", O_CREAT | O_RDWR, 0o600); print(lockf(f, F_LOCK, 0) == 0 ? "locked" : "no")',
    "threads": SWIFT % "let n = await withTaskGroup(of: Int.self) { g in for _ in 0..<4 { g.addTask { 1 } }; return await g.reduce(0, +) }; print(n)",
    "subprocess": SWIFT % 'var b = [CChar](repeating: 0, count: 9); let f = popen("echo child", "r")!; fgets(&b, 9, f); print(String(cString: b), terminator: "")',
    "memory": SWIFT % 'var b = [CChar](repeating: 0, count: 99); fgets(&b, 99, fopen("/proc/meminfo", "r")); print(Int(String(cString: b).split(separator: " ")[1])! / 1024)',
    "crash": SWIFT % 'fatalError("nosuchfunction")'}, "nosuchfunction", ".swift",
    ["swiftc", "-swift-version", "5", "-static-stdlib", "SOURCE", "-o", "OUT"])
CSHARP = ("using System; using System.Diagnostics; using System.IO; using System.Linq; using System.Threading;\n"
          "class P { static void Main() { %s } }\n")
LANGUAGES[".net"] = Language("", {
    "hello": CSHARP % 'Console.WriteLine("hello");', "json": CSHARP % "Console.Write(Console.In.ReadToEnd());",
    "zone": CSHARP % 'Console.WriteLine(TimeZoneInfo.FindSystemTimeZoneById("Asia/Tokyo").BaseUtcOffset.Hours == 9 ? "JST" : "no");',
    "temp": CSHARP % 'var p = Path.GetTempFileName(); File.WriteAllText(p, "kept"); Console.WriteLine(File.ReadAllText(p));',
    "lock": CSHARP % 'using (var f = new FileStream("/tmp/l", FileMode.Create, FileAccess.ReadWrite, FileShare.None)) { f.Lock(0, 1); Console.WriteLine("locked"); }',
    "threads": CSHARP % "int n = 0; var t = Enumerable.Range(0, 4).Select(i => new Thread(() => Interlocked.Increment(ref n))).ToList(); t.ForEach(x => x.Start()); t.ForEach(x => x.Join()); Console.WriteLine(n);",
    "subprocess": CSHARP % 'var i = new ProcessStartInfo("echo", "child") { RedirectStandardOutput = true, UseShellExecute = false }; Console.Write(Process.Start(i).StandardOutput.ReadToEnd());',
    "memory": CSHARP % 'var i = typeof(GC).GetMethod("GetGCMemoryInfo", Type.EmptyTypes).Invoke(null, null); Console.WriteLine((long)i.GetType().GetProperty("TotalAvailableMemoryBytes").GetValue(i) >> 20);',
    "crash": CSHARP % 'throw new InvalidOperationException("nosuchfunction");'}, "nosuchfunction", ".cs", ["mcs", "-out:OUT", "SOURCE"])

# Runtimes that come along in the bundle: see runtimes.py.
LANGUAGES["node 24"] = Language("", NODE, "ReferenceError")
# os.totalmem() of these two asks sysinfo(2), which tells of the machine, as in every container.
TELLS_MEMORY = "console.log(Number(require('fs').readFileSync('/proc/meminfo', 'utf8').match(/\\d+/)[0]) >> 10)"
LANGUAGES["deno"] = LANGUAGES["bun"] = Language("", {**NODE, "memory": TELLS_MEMORY}, "ReferenceError")
PYTHON = LANGUAGES["python3"].programs
LANGUAGES["pyinstaller, one file"] = Language("", PYTHON, "NameError")
LANGUAGES["python, a newer one"] = Language("", PYTHON, "NameError")


def judge(language, column, reply, log):
    """What is wrong with the answer; None when nothing is."""
    kind = LANGUAGES[language]
    told = reply.body.decode(errors="replace")
    if column == "crash":
        if reply.outcome not in ("exit", "signal"):
            return f"ended as {reply.outcome}: {told[:200]}"
        return None if kind.explains in told + "\n".join(log) else f"does not say {kind.explains}: {told[:300]} {log}"
    if reply.outcome != "ok":
        return f"{reply.outcome}: {told[:400]} {log}"
    if log:
        return f"its log is not empty: {log}"
    if column == "json":
        return None if '"zwei"' in told else told
    if column == "memory":
        return None if 0 < int(told) <= MEMORY_MIB else told
    return None if told.strip() == ANSWERS[column] else told


if __name__ == "__main__":
    sys.exit("data only: see Tests/Languages/table")

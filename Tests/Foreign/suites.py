"""The suites beside CPython's, made ready from Debian's source packages: what of them goes into a bundle, and in which parts they run."""
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

TENANT = Path(__file__).resolve().parent / "tenant.py"

GO = """archive/tar archive/zip bufio bytes compress/bzip2 compress/flate compress/gzip compress/zlib container/heap container/list context
crypto/aes crypto/ecdsa crypto/ed25519 crypto/hmac crypto/rand crypto/rsa crypto/sha256 crypto/x509 database/sql debug/elf debug/gosym
encoding/base64 encoding/binary encoding/csv encoding/gob encoding/hex encoding/json encoding/pem encoding/xml errors expvar flag fmt
go/ast go/constant go/format go/parser go/printer go/scanner go/token hash/crc32 hash/fnv hash/maphash html html/template image image/gif
image/jpeg image/png index/suffixarray internal/poll io io/fs io/ioutil log math math/big math/bits math/cmplx math/rand mime
mime/multipart net/netip net/textproto net/url os os/exec os/signal os/user path path/filepath reflect regexp regexp/syntax runtime
runtime/debug runtime/trace sort strconv strings sync sync/atomic syscall testing testing/fstest testing/iotest text/scanner
text/tabwriter text/template text/template/parse time unicode unicode/utf16 unicode/utf8 unsafe""".split()
PERL = ["base", "cmd", "comp", "io", "re", "uni", "mro", "lib", "class", "op"]
NODE = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "l", "m", "n", "o", "p", "q", "r", "s", "t", "u", "v", "w", "x", "z"]


def source(package, folder):
    """Debian's source package, unpacked below `folder`; from where this machine has its other packages."""
    if not (folder / package).exists():
        settings = Path("/etc/apt/sources.list.d/debian.sources")
        if settings.exists():
            # The release itself: its security updates are not everywhere to be had as sources.
            text = re.sub(r"^Types: .*$", "Types: deb-src", settings.read_text().split("\n\n")[0], flags=re.MULTILINE)
            (folder / "apt.sources").write_text(text)
        else:
            lines = re.findall(r"^deb (.*)$", Path("/etc/apt/sources.list").read_text(), re.MULTILINE)
            (folder / "apt.sources").write_text("".join(f"deb-src {line}\n" for line in lines))
        options = ["-o", f"Dir::Etc::sourcelist={folder / 'apt.sources'}", "-o", "Dir::Etc::sourceparts=-",
                   "-o", f"Dir::State::lists={folder / 'lists'}", "-qq"]
        (folder / "lists/partial").mkdir(parents=True, exist_ok=True)
        (folder / package).mkdir()
        subprocess.run(["apt-get", *options, "update"], check=True, stdout=sys.stderr)
        subprocess.run(["apt-get", *options, "source", package], cwd=folder / package, check=True, stdout=sys.stderr)
    return next(path for path in (folder / package).iterdir() if path.is_dir())


def prepare(suite, part, folder):
    """{name below /function: path} of what the suite's part needs; the program first."""
    files = {"tenant.py": TENANT}
    if suite == "go":
        program = folder / f"{part.replace('/', '-')}.test"
        subprocess.run(["go", "test", "-c", "-o", program, part], check=True, cwd=folder)
        return files | {program.name: program}
    if suite == "ltp":
        built = Path(os.environ["BULKHEAD_LTP"], "testcases/kernel/syscalls")
        programs = [path for name in LTP for path in (built / name).glob("*") if path.is_file() and os.access(path, os.X_OK)]
        (folder / "ltp").mkdir(exist_ok=True)
        for path in programs:
            if path.suffix == "" and not (folder / "ltp" / path.name).exists():
                subprocess.run(["strip", "-o", folder / "ltp" / path.name, path], check=True)
        return files | {"ltp": folder / "ltp"}
    ready = folder / f"{suite}-files"
    if not ready.exists():
        ready.mkdir()
        tree = source({"node": "nodejs", "sqlite": "sqlite3"}.get(suite, suite), folder)
        if suite == "perl":
            shutil.copytree(tree / "t", ready / "t", symlinks=True)
            version = re.search(r"[0-9]+\.[0-9]+", tree.name)[0]
            for place in (f"/usr/share/perl/{version}", "/usr/lib/x86_64-linux-gnu/perl-base", f"/usr/lib/x86_64-linux-gnu/perl/{version}"):
                shutil.copytree(place, ready / "lib", dirs_exist_ok=True)
        elif suite == "busybox":
            shutil.copytree(tree / "testsuite", ready / "testsuite")
            subprocess.run(["gcc", "-static", "-o", ready / "testsuite/echo-ne", tree / "scripts/echo.c"], check=True)
            shutil.copy(tree / "debian/config/pkg/static", ready / ".config")
            shutil.copy(shutil.which("busybox"), ready / "busybox")
        elif suite == "sqlite":
            subprocess.run(["./configure", "--with-tcl=/usr/lib/tcl8.6"], cwd=tree, check=True, stdout=subprocess.DEVNULL)
            subprocess.run(["make", "testfixture"], cwd=tree, check=True, stdout=subprocess.DEVNULL)
            shutil.copy(tree / "testfixture", ready / "testfixture")
            shutil.copytree(tree / "test", ready / "test")
        elif suite == "node":
            for name in ("parallel", "common", "fixtures"):
                shutil.copytree(tree / "test" / name, ready / "test" / name, symlinks=True)
    return files | {path.name: path for path in ready.iterdir()}


SQLITE = ["[ab]", "c", "[de]", "f", "[g-i]", "[jk]", "l", "m", "[no]", "[pq]", "r", "s", "t", "[uv]", "w", "[xz]"]

# The Linux Test Project is no package of Debian's: BULKHEAD_LTP names its source, built (`make autotools; ./configure; make` of lib,
# libs and these folders of testcases/kernel/syscalls: files and processes).
LTP = """access alarm brk chdir chmod clone close creat dup dup2 dup3 execve exit exit_group faccessat fchdir fchmod fcntl flock fork fstat
fstatat ftruncate futex getcwd getdents getitimer getpgid getpid getppid getrlimit gettimeofday kill lchown link linkat lseek lstat
madvise mkdir mkdirat mmap mprotect mremap munmap nanosleep open openat pause pipe pipe2 poll pread preadv pwrite pwritev read readdir
readlink readlinkat readv rename renameat rmdir sbrk select setitimer setpgid setsid sigaction signal sigprocmask stat statx symlink
symlinkat time times truncate umask uname unlink unlinkat utime utimes vfork wait wait4 waitid waitpid write writev""".split()

# What is run, in which parts. A part takes less time than an invocation may.
SUITES = {"go": GO, "perl": PERL, "busybox": ["all"], "node": NODE, "sqlite": SQLITE, "ltp": ["[a-e]", "[f-m]", "[n-s]", "[t-z]"]}

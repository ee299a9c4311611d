// What Go's runtime and library ask of the kernel, for test_needs.py: a static program without a libc.
package main

import (
	"fmt"
	"io/ioutil"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

func main() {
	folder, _ := ioutil.TempDir("", "needs")
	defer os.RemoveAll(folder)
	name := filepath.Join(folder, "file")
	ioutil.WriteFile(name, []byte("x"), 0600)
	file, _ := os.OpenFile(name, os.O_RDWR, 0)
	file.Stat()
	file.Sync()
	file.Close()
	exec.Command("true").Run()
	var group sync.WaitGroup
	for i := 0; i < 20; i++ {
		group.Add(1)
		go func() {
			defer group.Done()
			time.Sleep(time.Millisecond)
		}()
	}
	group.Wait()
	reader, writer, _ := os.Pipe()
	go writer.Write([]byte("x"))
	reader.Read(make([]byte, 1))
	var limit syscall.Rlimit
	syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit)
	syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
	syscall.Mlock(make([]byte, 1))
	fmt.Println("done")
}

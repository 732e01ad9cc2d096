package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// hostile are the modes that try to use up what others need too. Each prints how it fared at its height, and then stays
// there until it is killed.
var hostile = map[string]func(args []string){
	// fork-bomb has every child do the same.
	"fork-bomb": func([]string) {
		spareThreads(16)
		for {
			if err := exec.Command("/probe", "fork-bomb").Start(); err != nil {
				_, _ = os.Stdout.WriteString("refused\n")
				time.Sleep(10 * time.Millisecond)
			}
		}
	},
	// inodes makes empty files until it is refused.
	"inodes": func(args []string) {
		for n := 0; ; n++ {
			if err := os.WriteFile(filepath.Join(args[1], strconv.Itoa(n)), nil, 0o600); err != nil {
				fmt.Println(n, err)
				return
			}
		}
	},
	"fill-and-stay": func(args []string) { inside["fill"](args) },
	"descriptors": func([]string) {
		for {
			if fd, err := unix.Open("/dev/zero", unix.O_RDONLY, 0); err != nil {
				fmt.Println(err)
				return
			} else if fd > 1000 {
				// What the waiting itself takes is left free when the height has been reached.
				defer func() { _ = unix.Close(fd) }()
			}
		}
	},
	// trap leaves for the host what should not be opened, beside one file.
	"trap": func([]string) {
		result, failure, output := os.Getenv("ATTUNE_RESULT"), os.Getenv("ATTUNE_FAILURE"), os.Getenv("ATTUNE_OUTPUT")
		_ = os.Remove(result)
		_ = os.Symlink("/proc/1/environ", result)
		_ = os.Remove(failure)
		_ = os.Mkdir(failure, 0o700)
		_ = os.WriteFile(output+"/good", []byte("x"), 0)
		_ = os.Symlink("/", output+"/root")
		_ = os.WriteFile(output+"/..\\up", nil, 0o600)
		_ = os.WriteFile(output+"/ ..", nil, 0o600)
		_ = unix.Mkfifo(output+"/pipe", 0o600)
		_ = os.Chdir(output)
		for range 300 {
			_ = os.Mkdir("d", 0o700)
			_ = os.Chdir("d")
		}
		fmt.Println("left")
		os.Exit(0)
	},
	// sockets fills connections to itself until no buffer takes more, or 400 MiB are in them.
	"sockets": func([]string) {
		fmt.Println("begun")
		fmt.Println("held", fillSockets(400<<20)>>20)
	},
	// escapee is a child of a session of its own, whose parent is gone, and that cannot be asked to end.
	"escapee": func([]string) {
		child := exec.Command("/probe", "deaf")
		child.Stdout, child.Stderr = os.Stdout, os.Stderr
		child.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		fmt.Println("started", child.Start() == nil)
	},
	"deaf-to-stdin": func([]string) { fmt.Println("waiting") },
	// crash has a child that has read the secret die in the way that leaves a core file where one is allowed.
	"crash": func([]string) {
		child := exec.Command("/probe", "abort")
		child.Stdin, child.Dir, child.Env = os.Stdin, "/tmp", []string{"GOTRACEBACK=crash"}
		_ = child.Run()
		status, _ := child.ProcessState.Sys().(syscall.WaitStatus)
		left, err := os.ReadDir("/tmp")
		fmt.Println("signal", status.Signal(), "core", status.CoreDump(), "left", len(left), err)
	},
	"abort": func([]string) {
		secret, _ := io.ReadAll(os.Stdin)
		panic(len(secret))
	},
}

// besiege runs a hostile mode and stays.
func besiege(attack func([]string), args []string) int {
	signal.Ignore(syscall.SIGTERM)
	attack(args)
	time.Sleep(time.Hour)
	return 0
}

// fillSockets returns how many bytes are in the buffers of connections that nobody reads from.
func fillSockets(most int) (held int) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0
	}
	block := make([]byte, 1<<16)
	for range 400 {
		sends, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			return held
		}
		if _, err := listener.Accept(); err != nil {
			return held
		}
		before := held
		for held < most {
			_ = sends.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
			n, err := sends.Write(block)
			held += n
			if err != nil {
				break
			}
		}
		if held < before+len(block) || held >= most {
			return held
		}
	}
	return held
}

// spareThreads has the Go runtime make threads ahead: it ends a process that needs one and is refused.
func spareThreads(n int) {
	var pipe [2]int
	if err := unix.Pipe(pipe[:]); err != nil {
		return
	}
	var blocked, ended sync.WaitGroup
	for range n {
		blocked.Add(1)
		ended.Go(func() {
			blocked.Done()
			_, _ = unix.Read(pipe[0], make([]byte, 1)) // takes a thread until the other end is closed
		})
	}
	blocked.Wait()
	_ = unix.Close(pipe[1])
	ended.Wait()
}

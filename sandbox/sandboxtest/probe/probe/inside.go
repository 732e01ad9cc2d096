package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"attune/sandbox"
)

// inside are the modes that look at a real sandbox from within.
var inside = map[string]func(args []string) int{
	"cat": func(args []string) int {
		for _, path := range args[1:] {
			content, err := os.ReadFile(path)
			if err != nil {
				fmt.Println(err)
			}
			_, _ = os.Stdout.Write(content)
		}
		return 0
	},
	"environment": func([]string) int {
		for _, variable := range slices.Sorted(slices.Values(os.Environ())) { // gVisor gives them in any order
			fmt.Println(variable)
		}
		wd, _ := os.Getwd()
		fmt.Println("cwd", wd, "uid", os.Getuid(), "gid", os.Getgid())
		return 0
	},
	// write prints which of the places can be written.
	"write": func(args []string) int {
		for _, path := range args[1:] {
			fmt.Println(path, os.WriteFile(path+"/probe", []byte("x"), 0o600) == nil)
		}
		return 0
	},
	// fill writes files of a mebibyte until it is refused.
	"fill": func(args []string) int {
		for n := 0; ; n++ {
			if err := os.WriteFile(fmt.Sprint(args[1], "/", n), make([]byte, 1<<20), 0o600); err != nil {
				fmt.Println(n, err)
				return 0
			}
		}
	},
	// fork starts children until it is refused, and prints how many there were.
	"fork": func([]string) int {
		for n := 0; n < 1000; n++ {
			if err := exec.Command("/probe", "exec-wait").Start(); err != nil {
				fmt.Println("refused", n > 0)
				return 0
			}
		}
		fmt.Println("not refused")
		return 0
	},
	// work computes for as much processor time as is asked, on all processors, and holds mebibytes meanwhile.
	"work":      func(args []string) int { return work(args[1], args[2]) },
	"exec-wait": func([]string) int { time.Sleep(time.Hour); return 0 },
	"memory": func([]string) int {
		fmt.Println("begun")
		var hold [][]byte
		for len(hold) < 1<<14 {
			hold = append(hold, bytes.Repeat([]byte("x"), 1<<20))
		}
		return len(hold)
	},
	// child-memory has a child reach the limit: the sandbox as a whole must die of it.
	"child-memory": func([]string) int {
		_ = exec.Command("/probe", "memory").Run()
		time.Sleep(time.Hour)
		return 0
	},
	// daemon leaves a process of another session behind that ignores every request to end, and holds the streams.
	"daemon": func([]string) int {
		child := exec.Command("/probe", "deaf")
		child.Stdout, child.Stderr = os.Stdout, os.Stderr
		child.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		if err := child.Start(); err != nil {
			return 1
		}
		signal.Ignore(syscall.SIGTERM)
		time.Sleep(time.Hour)
		return 0
	},
	"deaf":     func([]string) int { signal.Ignore(syscall.SIGTERM); time.Sleep(time.Hour); return 0 },
	"syscalls": func([]string) int { return tryCalls() },
	"paths":    func([]string) int { return tryPaths() },
	"rights":   func([]string) int { return tryRights() },
	"interfaces": func([]string) int {
		all, _ := net.Interfaces()
		for _, i := range all {
			fmt.Println(i.Name, i.Flags&net.FlagUp != 0)
		}
		return 0
	},
	// dial-early dials an address before it has its document, and again when it has it.
	"dial-early": func(args []string) int {
		dial(args, time.Second)
		_ = os.WriteFile(sandbox.LeftDir+"/dialed", nil, 0o600)
		_, _ = io.Copy(io.Discard, os.Stdin)
		return dial(args, 10*time.Second) // gVisor asks for a neighbor once a second
	},
	// lower-score has the kernel kill others first when the host is out of memory.
	"lower-score": func([]string) int {
		for _, process := range []string{"self", "1"} {
			_ = os.WriteFile("/proc/"+process+"/oom_score_adj", []byte("0"), 0)
		}
		_ = os.WriteFile(sandbox.LeftDir+"/lowered", nil, 0o600)
		_, _ = io.Copy(io.Discard, os.Stdin)
		return 0
	},
	// dial prints for each address whether it can be reached.
	"dial": func(args []string) int { return dial(args, time.Second) },
}

func dial(args []string, patience time.Duration) int {
	for _, address := range args[1:] {
		conn, err := net.DialTimeout("tcp", address, patience)
		fmt.Println(address, err == nil)
		if err == nil {
			_ = conn.Close()
		}
	}
	return 0
}

// work is done when the processors have spent the duration on this process, and so much memory has been touched.
func work(duration, mebibytes string) int {
	want, _ := time.ParseDuration(duration)
	size, _ := strconv.Atoi(mebibytes)
	hold := bytes.Repeat([]byte("x"), size<<20)
	spent := func() time.Duration {
		var usage unix.Rusage
		_ = unix.Getrusage(unix.RUSAGE_SELF, &usage)
		return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
	}
	var group sync.WaitGroup
	for range runtime.NumCPU() {
		group.Go(func() {
			for spent() < want {
				copy(make([]byte, 1<<16), hold)
			}
		})
	}
	group.Wait()
	fmt.Println(spent() >= want, len(hold)>>20)
	return 0
}

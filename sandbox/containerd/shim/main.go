//go:build cgo

package shim

import (
	"errors"
	"flag"
	"fmt"
	"os"

	"github.com/containerd/containerd/api/types"
	"google.golang.org/protobuf/proto"
)

// Main runs the program with its arguments and returns its exit status.
func Main(args []string) int {
	err := errors.New("it is started by attune worker, not by hand")
	switch {
	case len(args) > 0 && args[0] == "serve":
		flags := flag.NewFlagSet("serve", flag.ContinueOnError)
		socket := flags.String("socket", "", "where to listen")
		state := flags.String("root", "", "where runc keeps the state of containers")
		roots := flags.String("roots", "", "where their root file systems are mounted")
		if err = flags.Parse(args[1:]); err == nil {
			err = serve(*socket, *state, *roots)
		}
	case len(args) > 3 && args[0] == "keep":
		var status int
		if status, err = keep(args[1], args[2], args[3:]); err == nil {
			return status
		}
	case len(args) > 0 && args[len(args)-1] == "delete":
		err = deleteDead(args[:len(args)-1])
	case len(args) == 1 && args[0] == "-info":
		err = printInfo()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "attune-shim:", err)
		return 1
	}
	return 0
}

// printInfo says what containerd wants to know of a runtime. Without an answer it asks again for each container.
func printInfo() error {
	info, err := proto.Marshal(&types.RuntimeInfo{Name: "attune-shim"})
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(info)
	return err
}

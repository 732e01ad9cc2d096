package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"strings"
	"syscall"
)

// hostFiles hold what is different on each host and stays through reboots. A host may lack them.
var hostFiles = []string{"/etc/machine-id", "/sys/class/dmi/id/product_uuid"}

// hostIdentity tells the data folder of this host from its copies, elsewhere or beside it. It is a hash: machine ids
// are not for others to read.
func hostIdentity(dataDir string) (string, error) {
	info, err := os.Stat(dataDir)
	if err != nil {
		return "", fmt.Errorf("identify the data folder: %w", err)
	}
	sum := sha256.New()
	fmt.Fprintf(sum, "attune %d\n", info.Sys().(*syscall.Stat_t).Ino)
	for _, file := range hostFiles {
		text, err := os.ReadFile(file)
		if err == nil {
			fmt.Fprintf(sum, "%s\n", strings.TrimSpace(string(text)))
		}
	}
	return hex.EncodeToString(sum.Sum(nil)[:16]), nil
}

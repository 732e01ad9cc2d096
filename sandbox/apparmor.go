package sandbox

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/containerd/containerd/v2/contrib/apparmor"
)

// appArmorProfile is the name of the profile that all sandboxes run under, containerd's default.
const appArmorProfile = "attune-sandbox"

func (m machine) checkAppArmor() Check {
	const name = "AppArmor"
	lacking := Check{Name: name, State: CheckDegraded, lacks: "apparmor"}
	enabled, err := m.read(filepath.Join(m.sys, "module/apparmor/parameters/enabled"))
	if err != nil || enabled != "Y" {
		lacking.Found, lacking.Mend = "the kernel runs without", "boot with lsm=apparmor (apparmor=1 security=apparmor on older kernels)"
		return lacking
	}
	if _, err := os.Stat(filepath.Join(m.sys, "kernel/security/apparmor")); err != nil {
		lacking.Found, lacking.Mend = "securityfs is not mounted", "mount -t securityfs securityfs /sys/kernel/security"
		return lacking
	}
	if _, err := m.tool("apparmor_parser"); err != nil {
		lacking.Found, lacking.Mend = "no apparmor_parser to load a profile", "apt-get install apparmor"
		return lacking
	}
	return fine(name, "confines sandboxes with the profile "+appArmorProfile)
}

// confine loads the profile where the host has AppArmor; empty is a host without.
func (m machine) confine() (profile string, err error) {
	if m.checkAppArmor().State != CheckOK {
		return "", nil
	}
	if err := apparmor.LoadDefaultProfile(appArmorProfile); err != nil {
		return "", fmt.Errorf("load the AppArmor profile %s: %w", appArmorProfile, err)
	}
	return appArmorProfile, nil
}

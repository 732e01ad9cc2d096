package hostcheck

import (
	"os"
	"path/filepath"
)

// AppArmor is the name of the check for AppArmor.
const AppArmor = "AppArmor"

// AppArmorProfile names the profile that all sandboxes run under, which is containerd's default.
const AppArmorProfile = "attune-sandbox"

func (m machine) checkAppArmor() Check {
	const name = AppArmor
	lacking := Check{Name: name, State: CheckDegraded, lacks: "apparmor"}
	enabled, err := m.read(filepath.Join(m.sys, "module/apparmor/parameters/enabled"))
	if err != nil || enabled != "Y" {
		lacking.Found = "the kernel runs without"
		lacking.Mend = "boot with lsm=apparmor (apparmor=1 security=apparmor on older kernels)"
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
	return fine(name, "confines sandboxes with the profile "+AppArmorProfile)
}

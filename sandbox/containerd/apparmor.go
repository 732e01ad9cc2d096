package containerd

import (
	"fmt"

	"github.com/containerd/containerd/v2/contrib/apparmor"

	"attune/sandbox/hostcheck"
)

// confine loads the AppArmor profile of sandboxes, and returns its name. It is empty on a host without AppArmor.
func confine(found hostcheck.Report) (profile string, err error) {
	if !found.OK(hostcheck.AppArmor) {
		return "", nil
	}
	if err := apparmor.LoadDefaultProfile(hostcheck.AppArmorProfile); err != nil {
		return "", fmt.Errorf("load the AppArmor profile %s: %w", hostcheck.AppArmorProfile, err)
	}
	return hostcheck.AppArmorProfile, nil
}

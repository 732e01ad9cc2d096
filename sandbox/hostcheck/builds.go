package hostcheck

import "strings"

// checkBuilds looks for the tools that make images: one for the base, one for the disks of builds.
func (m machine) checkBuilds() Check {
	const name = "image builds"
	var lacking []string
	for _, tool := range []string{"mmdebstrap", "mkfs.ext4"} {
		if _, err := m.tool(tool); err != nil {
			lacking = append(lacking, tool)
		}
	}
	if len(lacking) > 0 {
		return Check{
			Name: name, State: CheckDegraded,
			Found: "no " + strings.Join(lacking, ", no ") + ": packs cannot be installed here",
			Mend:  "apt-get install mmdebstrap e2fsprogs",
		}
	}
	return fine(name, "mmdebstrap, mkfs.ext4")
}

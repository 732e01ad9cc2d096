// Package cgroup reads and sets the control groups of sandboxes, on hosts with version 1 and with version 2.
//
// Start at Find, which says how this host keeps its groups. The container runtime makes the groups and sets their
// limits. This package reads them, and changes what changes while a sandbox runs. It must not know containerd.
package cgroup

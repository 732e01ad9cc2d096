// Package imagebuilder turns a checked pack into an image on this host: it installs the dependencies in a container
// isolated from the host, and adds the pack's files on top.
//
// A pack's image is a stack of layers: Debian, Node.js, the runners, the pack's dependencies, the pack's files. All of
// them are in containerd's content store and already unpacked as snapshots, so that a run starts at once.
//
// The package must not know the API or the queue. What an upload needs, without containerd, is in imagebuilder/pack.
//
// Start reading in installer.go, which takes installations from the database one by one, and build.go, which makes the
// image of one pack. base.go and node.go make the lower layers, dependencies.go and steps.go define the steps that
// install, workspace.go and container.go run them on a disk of their own, disk.go; reading.go picks from their output
// why one failed; layer.go and upper.go make layers of the files.
package imagebuilder
